// npm run bench query: what HTTP adds to one text query, with client and server on a core each. Beside it, in the same run
// and in turns: a bare Fastify that answers with a body of the same size, and the same call in a process of its own.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { median, percentile, report, round } from './report.mjs'

const usage = `npm run bench query -- [OPTIONS]
  --model DIR        bundle (default: the embedded demo model)
  --package DIR      a checkout whose dist is measured, repeatable, e.g. two commits (default: this one)
  --requests N       per row and round (default 1000)
  --rounds N         the rows take turns; the table has medians over rounds (default 5)`

const root = fileURLToPath(new URL('../../', import.meta.url))
const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const [serverCore, clientCore] = [0, 1]

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: 'string', default: path.join(root, 'models/demo') },
      package: { type: 'string', multiple: true, default: [root] },
      requests: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '5' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  if (availableParallelism() < 2 || spawnSync('taskset', ['--version']).error) {
    throw new Error('this benchmark pins processes: it needs two cores and taskset (util-linux)')
  }
  const [requests, rounds] = [Number(values.requests), Number(values.rounds)]
  const children = []
  try {
    const rows = []
    for (const folder of values.package) rows.push(...(await packageRows(folder, values, children)))
    const client = await start(clientCore, [here('query-client.mjs')], children)
    for (let round = -1; round < rounds; round += 1) {
      for (const row of rows) {
        const count = round < 0 ? Math.min(requests, 300) : requests
        const before = processorMs(row.child.pid)
        const result = await (row.inProcess ? row.child : client).ask({ ...row.request, count })
        if (round < 0) continue
        const used = processorMs(row.child.pid) - before
        row.runs.push({ ...result, processorMs: used / count })
      }
    }
    report('query', rows.map(describe), { requests, rounds })
  } finally {
    for (const child of children) child.kill('SIGTERM')
  }
}

/** The processes of one package and the rows that they answer. */
async function packageRows(folder, { model }, children) {
  const label = folder === root ? '' : ` (${path.basename(path.resolve(folder))})`
  const { id } = JSON.parse(readFileSync(path.join(model, 'model.json'), 'utf8'))
  const cli = path.join(folder, 'dist/cli/bin.js')
  const server = await start(serverCore, [cli, 'serve', '--model', model, '--port', '0'], children)
  const library = await start(serverCore, [here('query-library.mjs'), folder, model], children)
  const echo = await start(serverCore, [here('query-echo.mjs')], children)
  const url = await server.url
  const echoUrl = await echo.url
  const post = (format) => ({
    url: `${url}/v1/embeddings`,
    body: JSON.stringify({ request_type: 'query', input: text, model: id, encoding_format: format }),
  })
  const row = (load, child, request, inProcess = false) => ({
    load: `${load}${label}`,
    child,
    request,
    inProcess,
    runs: [],
  })
  return [
    row('in process', library, {}, true),
    row('Fastify alone, 1.4 kB', echo, { url: `${echoUrl}/1400`, body: post('base64').body }),
    row('live', server, { url: `${url}/v1/health/live` }),
    row('text, base64', server, post('base64')),
    row('text, float', server, post('float')),
  ].map((each, _, all) => Object.assign(each, { library: all[0] }))
}

const text = 'a blue square that moves to the left of the picture'

function describe({ load, runs, library, inProcess }) {
  const of = (rows, value) => median(rows.map(value))
  const p50 = of(runs, ({ ms }) => percentile(ms, 0.5))
  const alone = of(library.runs, ({ ms }) => percentile(ms, 0.5))
  return {
    load,
    'p50 ms': round(p50, 3),
    'p99 ms': round(
      of(runs, ({ ms }) => percentile(ms, 0.99)),
      2,
    ),
    'added p50 ms': load.startsWith('text') ? round(p50 - alone, 3) : '',
    'body bytes': inProcess ? '' : runs[0].bytes,
    'processor ms': round(
      of(runs, ({ processorMs }) => processorMs),
      3,
    ),
  }
}

/** Milliseconds that a process and its threads have used, in steps of ten. */
function processorMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return 10 * (Number(fields[11]) + Number(fields[12]))
}

/** Starts a Node process on one core. It prints its URL, or answers each line of JSON with another. */
async function start(core, args, children) {
  const child = spawn('taskset', ['-c', String(core), process.execPath, '--no-warnings', ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  children.push(child)
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (part) => {
    log = (log + part).slice(-4000)
  })
  const ended = new Promise((_, reject) => {
    child.on('exit', (code, signal) => reject(new Error(`${args[0]} ended (${signal ?? code}): ${log}`)))
  })
  const lines = createInterface({ input: child.stdout })
  const url = (async () => {
    while (!/(ready|listening)\n/.test(log) || !/http:\/\/[^,\s]+/.test(log)) await once(child.stderr, 'data')
    while (args.includes('serve') && !log.includes('cosmos-embed: ready')) await once(child.stderr, 'data')
    return /http:\/\/[^,\s]+/.exec(log)[0]
  })()
  const address = Promise.race([url, ended])
  for (const promise of [ended, address]) promise.catch(() => {}) // every child ends while nobody waits for it
  return {
    pid: child.pid,
    url: address,
    ask: async (question) => {
      child.stdin.write(`${JSON.stringify(question)}\n`)
      const [line] = await Promise.race([once(lines, 'line'), ended])
      return JSON.parse(line)
    },
  }
}
