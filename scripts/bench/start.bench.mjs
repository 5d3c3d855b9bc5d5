// npm run bench start: how long the package takes to start, beside Node itself. The programs take turns, each in a fresh process,
// and the table has medians, because a busy machine makes every start slower.

import { spawnSync } from 'node:child_process'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

import { median, report, round } from './report.mjs'

const usage = `npm run bench start -- [OPTIONS]
  --package DIR      what is measured: a checkout that is built, or an installed package; repeatable (default: this one)
  --runs N           starts of each program (default 15)`

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Prints the milliseconds of the import, of \`createEmbedder()\` and of the first text. */
const program = (index) => `
const began = performance.now()
const { createEmbedder } = await import(${JSON.stringify(index)})
const imported = performance.now()
const embedder = await createEmbedder()
const created = performance.now()
await embedder.embedText('a red circle')
const embedded = performance.now()
console.log(JSON.stringify({ import: imported - began, createEmbedder: created - imported, 'first text': embedded - created }))
await embedder.dispose()`

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      package: { type: 'string', multiple: true, default: [root] },
      runs: { type: 'string', default: '15' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const times = new Map()
  const add = (label, ms) => times.set(label, [...(times.get(label) ?? []), ms])
  for (let run = 0; run < Number(values.runs); run += 1) {
    add('node -e 0, whole process', node(['-e', '0']).ms)
    for (const folder of values.package) {
      const label = folder === root ? '' : ` (${path.basename(path.resolve(folder))})`
      const file = (name) => path.resolve(folder, 'dist', name)
      add(`cosmos-embed --help, whole process${label}`, node([file('cli/bin.js'), '--help']).ms)
      const index = pathToFileURL(file('index.js')).href
      const { stdout } = node(['--no-warnings', '--input-type=module', '-e', program(index)])
      for (const [step, ms] of Object.entries(JSON.parse(stdout))) add(`${step}${label}`, ms)
    }
  }
  const rows = [...times].map(([load, all]) => ({
    load,
    'median ms': round(median(all), 1),
    'lowest ms': round(Math.min(...all), 1),
  }))
  report('start', rows, { runs: Number(values.runs) })
}

/** Runs Node.js without this machine's own certificates, which it would read at each start. */
function node(args) {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
  const began = performance.now()
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}: ${stderr}`)
  return { ms: performance.now() - began, stdout }
}
