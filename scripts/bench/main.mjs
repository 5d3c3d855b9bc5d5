// Runs benchmarks: each prints a table and writes the same numbers as JSON to bench-output. With --save they are also
// kept by commit and machine, so that `compare` can tell what changed.

import { readdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { changes, describe } from './changes.mjs'
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
npm run bench -- --save                 the same for ${Object.keys(standard).join(', ')}
  --repeat N                            how many times (default 5)
npm run bench compare A B               what changed from A to B: files, or commits that --save measured`

const { command, argv, isSaved, repeat } = parse(process.argv.slice(2))
if (command === 'compare' && argv.length === 2) {
  compare(...argv)
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

/** Takes out the options that are not the benchmark's own. */
function parse(words) {
  const at = words.indexOf('--repeat')
  const times = at < 0 ? ['', '5'] : words.splice(at, 2)
  const own = words.filter((word) => word !== '--save')
  const [first, ...rest] = own[0]?.startsWith('--') ? [undefined, ...own] : own
  return { command: first, argv: rest, isSaved: own.length < words.length, repeat: Number(times[1]) }
}

async function measure(benchmarks) {
  const { listen, machine } = await import('./report.mjs')
  let tables = {}
  for (let run = 0; run < (isSaved ? repeat : 1); run += 1) {
    for (const [name, options] of Object.entries(benchmarks)) {
      listen((table, rows) => {
        tables = merge(tables, { [[table, ...options].join(' ')]: oneRun(rows) })
      })
      const benchmark = await import(`./${name}.bench.mjs`)
      await benchmark.run([...options])
    }
  }
  if (isSaved) console.log(`saved in ${path.relative(process.cwd(), save(root, machine(), tables))}`)
}
