// The row "Fastify alone" of `npm run bench query`: parses a body of JSON and answers with another of the asked size.

import Fastify from 'fastify'

const app = Fastify()
app.post('/:bytes', async (/** @type {any} */ request) => ({
  model: request.body.model,
  text: 'a'.repeat(Number(request.params.bytes)),
}))
const address = await app.listen({ host: '127.0.0.1', port: 0 })
process.stderr.write(`${address} listening\n`)
