// The row "in process" of `npm run bench query`: the call that the server makes, without HTTP.

import path from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [folder, model] = process.argv.slice(2)
const { createEmbedder } = await import(pathToFileURL(path.resolve(folder, 'dist/index.js')).href)
const embedder = await createEmbedder({ model })
const request = {
  request_type: 'query',
  input: 'a blue square that moves to the left of the picture',
  encoding_format: 'base64',
}

for await (const line of createInterface({ input: process.stdin })) {
  const { count } = JSON.parse(line)
  const ms = []
  for (let i = 0; i < count; i += 1) {
    const began = performance.now()
    await embedder.embed(request)
    ms.push(performance.now() - began)
  }
  console.log(JSON.stringify({ ms, bytes: 0 }))
}
