// Runs benchmarks: each prints a table and writes the same numbers as JSON to bench-output. With --save they are also
// kept by commit and machine, so that `compare` can tell what changed.

import { readdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { changes, describe } from './changes.mjs'
import { asMeasurement, documentProblems, record, writeDocument } from './document.mjs'
import { load, merge, oneRun, save } from './history.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const root = path.join(here, '..', '..')
const names = readdirSync(here)
  .filter((file) => file.endsWith('.bench.mjs'))
  .map((file) => file.replace('.bench.mjs', ''))

/** What `--save` without a name measures: some minutes, on any machine. */
const standard = {
  decode: ['--gop', '30', '--clips', '2', '--runs', '1'],
  embed: ['--seconds', '2'],
  http: ['--seconds', '1'],
}

const usage = `npm run bench NAME [-- OPTIONS]         one of: ${names.join(', ')}; OPTIONS: see --help of each
npm run bench NAME -- --save [OPTIONS]  several times, and keeps the numbers in bench-output/saved
npm run bench NAME -- --record [OPTIONS]  keeps the numbers in scripts/bench/results, for docs/performance.md
npm run bench -- --save                 the same for ${Object.keys(standard).join(', ')}
  --repeat N                            how many times (default 5, with --record 1)
npm run bench compare A B               what changed from A to B: files, or commits that --save measured
npm run bench docs                      writes the tables of docs/performance.md from scripts/bench/results
  -- --check                            says whether they are up to date, and writes nothing`

const { command, argv, isSaved, isRecorded, repeat } = parse(process.argv.slice(2))
if (command === 'compare' && argv.length === 2) {
  compare(...argv)
} else if (command === 'docs') {
  writeDocs(argv)
} else if (names.includes(command)) {
  await measure({ [command]: argv })
} else if (command === undefined && isSaved) {
  await measure(standard)
} else {
  console.error(usage)
  process.exit(2)
}

function compare(...files) {
  try {
    const [before, after] = files.map((name) => load(root, name))
    for (const line of describe(changes(before, after))) console.log(line)
  } catch (error) {
    console.error(error.message)
    process.exit(2)
  }
}

function writeDocs(options) {
  const problems = options.includes('--check') ? documentProblems(root) : writeDocument(root)
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exit(1)
}

/** Takes out the options that are not the benchmark's own. */
function parse(words) {
  const at = words.indexOf('--repeat')
  const times = at < 0 ? undefined : words.splice(at, 2)[1]
  const [saves, records] = ['--save', '--record'].map((option) => words.includes(option))
  const own = words.filter((word) => !['--save', '--record'].includes(word))
  const [first, ...rest] = own[0]?.startsWith('--') ? [undefined, ...own] : own
  const count = Number(times ?? (saves ? 5 : 1))
  return { command: first, argv: rest, isSaved: saves, isRecorded: records, repeat: count }
}

async function measure(benchmarks) {
  const { listen, machine } = await import('./report.mjs')
  const measurements = new Map()
  let tables = {}
  for (let run = 0; run < repeat; run += 1) {
    for (const [name, options] of Object.entries(benchmarks)) {
      listen((table, rows, { versions }) => {
        tables = merge(tables, { [[table, ...options].join(' ')]: oneRun(rows) })
        // Where files lie on this machine is nobody else's business.
        const shown = options.map((option) => option.replace(/(^|=)\/.*/s, '$1FILE'))
        const command = ['npm run bench', name, ...(shown.length > 0 ? ['--', ...shown] : [])].join(' ')
        const about = { command, machine: machine(), versions }
        measurements.set(table, asMeasurement(rows, about, measurements.get(table)))
      })
      const benchmark = await import(`./${name}.bench.mjs`)
      await benchmark.run([...options])
    }
  }
  if (isSaved) console.log(`saved in ${path.relative(process.cwd(), save(root, machine(), tables))}`)
  if (!isRecorded) return
  for (const [table, measurement] of measurements) {
    console.log(`recorded in ${path.relative(process.cwd(), record(root, table, measurement))}`)
  }
}
