// A server that only answers. Its latency is what any liveness probe takes on this machine at this moment.

import http from 'node:http'
import process from 'node:process'

const server = http.createServer((_, response) => response.end('live'))
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  process.send({ url: `http://127.0.0.1:${port}` })
})
process.on('disconnect', () => process.exit())
