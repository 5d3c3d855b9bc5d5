// Storage that is slow, or sends less than its content-length.

import { once } from 'node:events'
import http from 'node:http'
import { post, query } from './client.mjs'

/** A storage server whose paths choose its misbehaviour. */
export async function serveStorage() {
  const server = http.createServer((request, response) => {
    if (request.url.startsWith('/fast')) {
      response.end('this is no video')
      return
    }
    if (request.url.startsWith('/promise')) response.writeHead(200, { 'content-length': 30_000_000 })
    const timer = setInterval(() => response.write('x'), 100)
    response.on('close', () => clearInterval(timer))
  })
  await once(server.listen(0), 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    // Two names, so that the downloader counts two hosts.
    slow: `http://127.0.0.1:${port}`,
    fast: `http://localhost:${port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const video = (address) => `data:video/mp4;presigned_url,${address}`

const slowStorage =
  (path) =>
  async ({ url, storage }) => {
    const slow = Array.from({ length: 32 }, (_, at) =>
      post(url, query(video(`${storage.slow}/${path}/${at}`))),
    )
    await new Promise((resolve) => setTimeout(resolve, 300))
    const began = performance.now()
    const other = await post(url, query(video(`${storage.fast}/fast`)))
    const waited = performance.now() - began
    await Promise.all(slow)
    // The fast host sends no video: 422. An answer that waited for the slow host is a failure.
    return [waited < 1_500 ? other : { status: 0, text: '' }]
  }

export const downloadAttacks = [
  { name: 'storage that drips', short: true, statuses: [422], seconds: 60, run: slowStorage('drip') },
  {
    name: 'storage that promises more',
    short: false,
    statuses: [422],
    seconds: 60,
    run: slowStorage('promise'),
  },
]
