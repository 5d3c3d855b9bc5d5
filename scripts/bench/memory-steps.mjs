// The steps inside one process of `npm run bench memory`: prints a line when one is done, and waits for a line to go on.

import process from 'node:process'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [index, model] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

async function done(step) {
  process.stdout.write(`${step}\n`)
  await lines.next()
}

await done('Node')
const { createEmbedder } = await import(pathToFileURL(index).href)
await done('import of the package')
const embedder = await createEmbedder({ model })
await done('createEmbedder')
await embedder.embedText('a blue square that moves to the left')
await done('first text')
await embedder.dispose()
process.stdin.destroy()
