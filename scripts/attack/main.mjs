// Starts a server of this checkout on loopback and attacks it: `npm run attack [-- --short] [--only TEXT]`.
// Prints for each attack the answers, the latency of liveness probes during it, and the server's peak memory. Exits with 1
// when an attack exceeded its bounds.

import { fork } from 'node:child_process'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { bodyAttacks } from './bodies.mjs'
import { post, query } from './client.mjs'
import { downloadAttacks, serveStorage } from './downloads.mjs'
import { memoryBound } from './limits.mjs'
import { mediaAttacks } from './media.mjs'
import { socketAttacks } from './sockets.mjs'
import { textAttacks } from './texts.mjs'
import { residentOf, watch } from './watch.mjs'

const { values } = parseArgs({ options: { short: { type: 'boolean' }, only: { type: 'string' } } })
const size = values.short ? 'short' : 'long'
const attacks = [textAttacks, bodyAttacks, socketAttacks, downloadAttacks, mediaAttacks]
  .flat()
  .filter(({ name, short }) => (values.only ? name.includes(values.only) : size === 'long' || short))

/** The bound on liveness at the 99th percentile, added to twice the control server's. */
const livenessMs = 100
/** Where the control server itself takes this long, the machine is so busy that only a freeze can be told. */
const busyMs = 100
const freezeMs = 5_000
/** The share of probes that may fail: while hundreds of sockets are opened, the server refuses some. */
const unansweredShare = 0.2
const MiB = 1024 * 1024

const storage = await serveStorage()
const control = await start('control.mjs')
const server = await start('server.mjs', { origins: [storage.slow, storage.fast] })
let failures = 0
try {
  await warmUp()
  const rest = await measured(() => new Promise((resolve) => setTimeout(resolve, 2_000, [])))
  const idle = residentOf(server.child.pid)
  const bound = idle + memoryBound
  row('attack', 'status', 'seconds', 'live p99', 'longest', 'control', 'peak', '')
  row('(nothing)', '', '', ms(rest.p99), ms(rest.longest), ms(rest.control), mib(rest.peak), '')
  for (const attack of attacks) await runAttack(attack, bound)
  console.log(
    `bounds: liveness ${ms(livenessMs)} over twice the control at the 99th percentile, memory ${mib(bound)}; ` +
      `${attacks.length - failures} of ${attacks.length} attacks stayed within them`,
  )
} finally {
  storage.close()
  control.child.disconnect()
  server.child.kill('SIGTERM')
  const force = setTimeout(() => server.child.kill('SIGKILL'), 10_000)
  await server.ended
  clearTimeout(force)
}
process.exit(failures === 0 ? 0 : 1)

/** Warms the server up: a fresh one would compile its code during the first attack. */
async function warmUp() {
  for (let round = 0; round < 10; round++) {
    const texts = Array.from({ length: 8 }, (_, at) => `a red circle moving left, ${at}`)
    await Promise.all(texts.map((text) => post(server.url, query([text, text], 'bulk_text'))))
    await post(server.url, '{')
  }
}

async function runAttack({ name, statuses, seconds, answerBytes = 16 * MiB, run }, bound) {
  const began = performance.now()
  const seen = await measured(() => run({ url: server.url, storage, size }))
  const took = (performance.now() - began) / 1000
  const found = seen.answers.map(({ status }) => status)
  const largest = Math.max(0, ...seen.answers.map(({ text }) => text.length))
  const faults = [
    found.length === 0 || found.some((status) => !statuses.includes(status)) ? 'status' : '',
    largest > answerBytes ? `an answer of ${largest} bytes` : '',
    took > seconds ? `longer than ${seconds} s` : '',
    seen.p99 > livenessBound(seen.control) ? 'liveness' : '',
    seen.unanswered > unansweredShare && seen.control < busyMs
      ? `liveness did not answer ${percent(seen.unanswered)}`
      : '',
    seen.peak > bound ? 'memory' : '',
    server.child.exitCode !== null || server.child.signalCode !== null ? 'the server ended' : '',
  ].filter((fault) => fault !== '')
  if (faults.length > 0) failures += 1
  row(
    name,
    counted(found),
    took.toFixed(1),
    ms(seen.p99),
    ms(seen.longest),
    ms(seen.control),
    mib(seen.peak),
    faults.join(', ') || 'ok',
  )
  if (faults.includes('the server ended')) throw new Error(`the server ended: ${name}`)
}

function livenessBound(control) {
  return control < busyMs ? livenessMs + 2 * control : freezeMs
}

/** Runs a task. Resolves with its answers and what `watch` saw of the server meanwhile. */
async function measured(task) {
  const stop = await watch({ url: server.url, pid: server.child.pid, control: control.url })
  const answers = await task()
  return { ...(await stop()), answers }
}

async function start(name, options = {}) {
  const file = fileURLToPath(new URL(`./${name}`, import.meta.url))
  const child = fork(file, [JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const { url } = await new Promise((resolve, reject) => {
    child.once('message', resolve)
    ended.then(() => reject(new Error(`${name} did not start`)))
  })
  return { child, url, ended }
}

function counted(statuses) {
  const counts = new Map()
  for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1)
  return [...counts].map(([status, count]) => (count > 1 ? `${count} × ${status}` : `${status}`)).join(', ')
}

function ms(milliseconds) {
  return `${milliseconds.toFixed(0)} ms`
}

function percent(share) {
  return `${Math.round(100 * share)} %`
}

function mib(bytes) {
  return `${Math.round(bytes / MiB)} MiB`
}

function row(name, status, seconds, p99, longest, control, peak, verdict) {
  const cells = [
    name.padEnd(64),
    status.padEnd(18),
    seconds.padStart(7),
    p99.padStart(9),
    longest.padStart(9),
    control.padStart(9),
    peak.padStart(9),
    verdict,
  ]
  console.log(cells.join('  ').trimEnd())
}
