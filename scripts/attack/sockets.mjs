// Connections that stay open, send byte by byte, or come from pages of other sites.

import { openSocket, post, query, raw } from './client.mjs'
import { limits } from './limits.mjs'

const host = (url) => new URL(url).host
const get = (url, target) => raw(url, `GET ${target} HTTP/1.1\r\nhost: ${host(url)}\r\n\r\n`)

/** Keeps `count` sockets open while `ask` runs. */
async function withSockets(open, count, ask) {
  const sockets = await Promise.all(Array.from({ length: count }, open))
  try {
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    return await ask()
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/** Asks for readiness until there is an answer, for ten seconds at most: refused sockets take a moment to close. */
async function health(url) {
  const end = performance.now() + 10_000
  for (;;) {
    const status = await get(url, '/v1/health/ready')
    if (status !== 0 || performance.now() > end) return [{ status, text: '' }]
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const head = (url) =>
  `POST /v1/embeddings HTTP/1.1\r\nhost: ${host(url)}\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n`

export const socketAttacks = [
  {
    name: 'more idle sockets than the server allows',
    short: true,
    statuses: [200],
    seconds: 20,
    run: ({ url }) =>
      withSockets(
        () => openSocket(url),
        limits.connections + 100,
        () => health(url),
      ),
  },
  {
    name: 'half a request on every socket',
    short: true,
    statuses: [200],
    seconds: 20,
    run: ({ url }) =>
      withSockets(
        () => openSocket(url, 'GET /v1/mo', { drip: 'd' }),
        limits.connections + 100,
        () => health(url),
      ),
  },
  {
    name: 'a dripping body on every socket',
    short: true,
    statuses: [200],
    seconds: 20,
    run: ({ url }) =>
      withSockets(
        () => openSocket(url, head(url), { drip: ' ' }),
        limits.connections + 100,
        () => health(url),
      ),
  },
  {
    name: 'bodies in chunks of one byte',
    short: true,
    statuses: [400, 0],
    seconds: 20,
    run: ({ url, size }) => {
      const count = size === 'short' ? 1 : 4
      const head = `POST /v1/embeddings HTTP/1.1\r\nhost: ${host(url)}\r\ncontent-type: application/json\r\n`
      const request = `${head}transfer-encoding: chunked\r\n\r\n${'1\r\n \r\n'.repeat(300_000)}0\r\n\r\n`
      return Promise.all(
        Array.from({ length: count }, async () => ({ status: await raw(url, request), text: '' })),
      )
    },
  },
  {
    name: 'thousands of requests in one write',
    short: false,
    statuses: [200],
    seconds: 20,
    run: async ({ url }) => [
      {
        status: await raw(url, `GET /v1/models HTTP/1.1\r\nhost: ${host(url)}\r\n\r\n`.repeat(5_000)),
        text: '',
      },
    ],
  },
  {
    name: 'long URLs, queries and headers',
    short: true,
    statuses: [404, 405, 431, 400, 200],
    seconds: 10,
    run: ({ url }) =>
      Promise.all(
        [
          `/${'a'.repeat(15_000)}`,
          `/v1/models?${'a=1&'.repeat(3_500)}`,
          `/${'%41'.repeat(4_000)}`,
          `/${'a'.repeat(60_000)}`,
          `/${'../'.repeat(4_000)}`,
        ].map(async (target) => ({ status: await get(url, target), text: '' })),
      ),
  },
  {
    name: 'pages of other sites, and foreign host names',
    short: true,
    statuses: [403],
    seconds: 10,
    run: ({ url }) =>
      Promise.all([
        post(url, query('a'), { headers: { origin: 'https://evil.example' } }),
        post(url, query('a'), { headers: { host: 'evil.example' } }),
        post(url, 'x', { route: '/page/clip', headers: { origin: 'null', 'content-type': 'text/plain' } }),
        post(url, 'x', {
          route: '/page/clip',
          headers: { host: 'evil.example', 'content-type': 'text/plain' },
        }),
      ]),
  },
  {
    name: 'a clip as text/plain, and a request without host',
    short: true,
    statuses: [400, 415],
    seconds: 10,
    run: async ({ url }) => [
      await post(url, 'x', { route: '/page/clip', headers: { 'content-type': 'text/plain' } }),
      { status: await raw(url, 'GET /v1/models HTTP/1.1\r\n\r\n'), text: '' },
    ],
  },
]
