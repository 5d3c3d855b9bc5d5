import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { nothingLeft, open } from './support.ts'

/** A host that responds on request, reachable under two names of this machine. */
async function serve() {
  const waiting: ServerResponse[] = []
  const server = createServer((request, response) => {
    if (request.url === '/now') response.end(Uint8Array.of(7, 0))
    else waiting.push(response)
  })
  await new Promise<void>((resolve) => server.listen(0, resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const origins = [`http://127.0.0.1:${port}`, `http://localhost:${port}`]
  return { waiting, origins, urls: { http: origins, private: origins } }
}

it('a slow host does not delay downloads from others', async () => {
  const { waiting, origins, urls } = await serve()
  const limits = { maxDownloads: 4, maxDownloadsPerHost: 3 }
  const both = await open({ urls, limits })
  const embed = (at: number, path: string) => both.embedder.embedVideo(new URL(path, origins[at]))
  const slow = Array.from({ length: 12 }, () => embed(0, '/later'))
  while (waiting.length < 3) await new Promise((resolve) => setTimeout(resolve, 2))
  expect(both.embedder.stats().queues.download).toEqual({ waiting: 9, running: 3 })
  for (let at = 0; at < 5; at++) await embed(1, '/now')
  expect(waiting).toHaveLength(3)
  const answering = setInterval(() => {
    for (const response of waiting.splice(0)) response.end(Uint8Array.of(7, 0))
  }, 2)
  await Promise.all(slow)
  clearInterval(answering)
  nothingLeft(both)
})

it('a finished download frees its slot before it is encoded', async () => {
  const { origins, urls } = await serve()
  const both = await open({ urls, limits: { maxDownloads: 1 }, decode: { concurrency: 8 } })
  both.double.encoding.held = true
  const all = Array.from({ length: 6 }, () => both.embedder.embedVideo(new URL('/now', origins[0])))
  while (both.embedder.stats().queues.encode.waiting + both.embedder.stats().queues.encode.running < 6) {
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  both.double.encoding.open()
  await Promise.all(all)
  nothingLeft(both)
})
