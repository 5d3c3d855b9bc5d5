/** An in-process and an HTTP embedder over the same double, whose vectors depend only on the input. */
import { fileURLToPath } from 'node:url'
import { type AnyEmbedder, createEmbedder, type Embedder, type EmbedRequest } from 'cosmos-embed'
import { createClient } from 'cosmos-embed/client'
import { createServer } from 'cosmos-embed/http'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { doubleEmbedder, type EmbedderDouble } from '../http/embedder-double.ts'
import { serveDouble } from '../http/support.ts'

export const major = Number(process.versions.node.split('.')[0])

export interface Side {
  embedder: AnyEmbedder
  double: EmbedderDouble
}

export const sides = ['local', 'remote'] as const

export async function open(
  side: (typeof sides)[number],
  before?: (request: EmbedRequest, signal: AbortSignal) => Promise<void> | void,
): Promise<Side> {
  const options = before ? { before } : {}
  if (side === 'local') {
    const double = doubleEmbedder(options)
    return { embedder: double, double }
  }
  const { url, double } = await serveDouble({}, options)
  const embedder = createClient({ url })
  onTestFinished(() => embedder.dispose())
  return { embedder, double }
}

export const clip = (name: string): string =>
  fileURLToPath(new URL(`../../examples/clips/${name}`, import.meta.url))

/** The demo model, in this process and behind a server, for the tests of a file. */
export function withDemo(): { local: Embedder; remote: AnyEmbedder } {
  const demo = {} as { local: Embedder; remote: AnyEmbedder }
  let end = async () => {}
  beforeAll(async () => {
    const model = fileURLToPath(new URL('../../models/demo', import.meta.url))
    demo.local = await createEmbedder({ model, device: 'cpu' })
    const server = await createServer({ embedder: demo.local })
    demo.remote = createClient({ url: await server.listen({ port: 0 }) })
    await server.ready
    end = async () => {
      await demo.remote.dispose()
      await server.close()
      await demo.local.dispose()
    }
  })
  afterAll(() => end())
  return demo
}
