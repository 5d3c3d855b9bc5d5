import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { Picture } from '../../src/index.ts'
import { nothingLeft, open, turns } from './support.ts'

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

it('pictures of which one fails leave no bytes in flight', async () => {
  const { origins, urls } = await serve()
  const folder = mkdtempSync(path.join(tmpdir(), 'pictures-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const good = Array.from({ length: 8 }, (_, at) => {
    const file = path.join(folder, `${at}.jpg`)
    writeFileSync(file, Buffer.alloc(100_000, at + 1))
    return file
  })
  const bad: [Picture, string][] = [
    [path.join(folder, 'none.jpg'), 'source'],
    [folder, 'source'],
    [new Blob([]), 'source'],
    [new Blob([Buffer.alloc(20_000_000)]), 'limit'],
    [new URL('/now', 'http://blocked.test'), 'blocked_url'],
  ]
  const limits = { maxBytesInFlight: 1_000_000 }
  for (const [kind, sources] of [
    ['files', good],
    ['blobs', good.map((_, at) => new Blob([Buffer.alloc(100_000, at + 1)]))],
    ['downloads', good.map(() => new URL('/now', origins[0]))],
  ] as [string, Picture[]][]) {
    const both = await open({ urls, limits })
    for (const [picture, code] of bad) {
      for (const at of [0, 3, 7]) {
        const frames = sources.map((each, index) => (index === at ? picture : each))
        const [result] = await both.embedder.embedMany([{ frames }])
        expect(result, kind).toMatchObject({ status: 'rejected', reason: { code } })
      }
    }
    await turns(50)
    nothingLeft(both)
    await both.embedder.dispose()
  }
})
