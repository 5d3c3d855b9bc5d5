// A server that does nothing but answer: what liveness takes on this machine at this moment, whoever is to blame for it.

import http from 'node:http'
import process from 'node:process'

const server = http.createServer((_, response) => response.end('live'))
server.listen(0, '127.0.0.1', () => process.send({ url: `http://127.0.0.1:${server.address().port}` }))
process.on('disconnect', () => process.exit())
