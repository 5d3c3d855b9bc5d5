/** Qdrant for tests: its API over the local mode of its Python client; see qdrant_server.py. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { QdrantClient } from '@qdrant/js-client-rest'

const program = path.join(import.meta.dirname, 'qdrant_server.py')

export const hasQdrant = spawnSync('python3', ['-c', 'import qdrant_client']).status === 0
if (!hasQdrant) console.warn('Qdrant is not tried: python3 has no qdrant-client')

export interface QdrantServer {
  url: string
  stop(): Promise<void>
}

/** Starts a server with nothing in it. */
export async function startQdrant({ apiKey = '', old = false } = {}): Promise<QdrantServer> {
  const running = spawn('python3', ['-W', 'ignore::UserWarning', program, apiKey, old ? 'old' : ''], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(running, 'exit')
  const [port] = await Promise.race([once(running.stdout, 'data'), ended])
  return {
    url: `qdrant://127.0.0.1:${`${port}`.trim()}`,
    async stop() {
      running.stdin.end()
      await ended
    },
  }
}

/** A server whose default collection is removed by `empty`. */
export async function reusedQdrant(): Promise<QdrantServer & { empty(): Promise<string> }> {
  const server = await startQdrant()
  const client = new QdrantClient({ url: server.url.replace('qdrant', 'http'), checkCompatibility: false })
  return {
    ...server,
    async empty() {
      await client.deleteCollection('cosmos_embed')
      return server.url
    },
  }
}
