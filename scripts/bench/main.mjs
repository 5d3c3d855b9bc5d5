// npm run bench NAME [-- OPTIONS]: builds what is needed, runs one benchmark, prints a table, writes JSON.

import { readdirSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const names = readdirSync(here)
  .filter((file) => file.endsWith('.bench.mjs'))
  .map((file) => file.replace('.bench.mjs', ''))

const [name, ...argv] = process.argv.slice(2)
if (!names.includes(name)) {
  console.error(`npm run bench NAME [-- OPTIONS], where NAME is one of: ${names.join(', ')}`)
  process.exit(2)
}
const { run } = await import(`./${name}.bench.mjs`)
await run(argv)
