// npm run bench http: measures what the HTTP interface adds to the library, and its behaviour under overload. Clients and
// server share the machine's cores, so a dedicated server does better.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { createEmbedder } from '../../dist/index.js'
import { closedLoop, openLoop, post } from './http-load.mjs'
import { percentile, report, round } from './report.mjs'

const usage = `npm run bench http -- [OPTIONS]
  --model DIR        bundle (default: the embedded demo model)
  --video FILE       sent inline (default: a small clip of examples/clips)
  --seconds N        how long each load runs (default 5)
  --in-flight N      items that the overloaded server admits (default 64)`

const root = new URL('../../', import.meta.url)
const connectionCounts = [1, 8, 64]
const MiB = 2 ** 20

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      model: { type: 'string', default: fileURLToPath(new URL('models/demo', root)) },
      video: { type: 'string', default: fileURLToPath(new URL('examples/clips/red-circle.mp4', root)) },
      seconds: { type: 'string', default: '5' },
      'in-flight': { type: 'string', default: '64' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const seconds = Number(values.seconds)
  const video = readFileSync(values.video)
  const calls = { text: 'a blue square that moves to the left of the picture', video }

  const library = await inProcess(values.model, calls, seconds)
  const rows = await overHttp(values.model, calls, seconds, library)
  report('http', rows, { video: { bytes: video.length } })
  report('http-inline', await besideInline(values.model, calls, seconds))
  const capacity = Number(rows.find(({ load }) => load === 'video × 64')['requests/s'])
  report('http-overload', await overload(values.model, calls, seconds, capacity, values['in-flight']))
}

/** Measures the same loads without HTTP, as the baseline. */
async function inProcess(model, { text, video }, seconds) {
  const embedder = await createEmbedder({ model })
  const found = new Map()
  try {
    for (const { kind, call } of [
      { kind: 'text', call: () => embedder.embedText(text) },
      { kind: 'video', call: () => embedder.embedVideo(video) },
    ]) {
      await call()
      for (const loops of connectionCounts) {
        found.set(`${kind} × ${loops}`, await closedLoop(call, loops, seconds))
      }
    }
  } finally {
    await embedder.dispose()
  }
  return found
}

async function overHttp(model, { text, video }, seconds, library) {
  const server = await startServer(model)
  const rows = []
  try {
    for (const [kind, body] of [
      ['text', bodyOf(server.model, text)],
      ['video', bodyOf(server.model, inline(video))],
    ]) {
      for (const loops of connectionCounts) {
        const agent = new http.Agent({ keepAlive: true, maxSockets: loops })
        await post(server.url, body, agent)
        const { latencies, elapsed } = await closedLoop(
          () => expectAnswer(post(server.url, body, agent)),
          loops,
          seconds,
        )
        agent.destroy()
        const load = `${kind} × ${loops}`
        const alone = library.get(load)
        rows.push({
          load,
          'requests/s': round(latencies.length / elapsed, 1),
          'p50 ms': round(percentile(latencies, 0.5)),
          'p99 ms': round(percentile(latencies, 0.99)),
          'in process/s': round(alone.latencies.length / alone.elapsed, 1),
          'in process p50 ms': round(percentile(alone.latencies, 0.5)),
          'added p50 ms': round(percentile(latencies, 0.5) - percentile(alone.latencies, 0.5)),
          'server MiB': server.memory(),
        })
      }
    }
  } finally {
    await server.stop()
  }
  return rows
}

/** Measures text queries while one client keeps sending 32 MiB of inline media. */
async function besideInline(model, { text, video }, seconds) {
  const server = await startServer(model, ['--max-inline-bytes', String(33 * MiB)])
  const agent = new http.Agent({ keepAlive: true })
  const query = bodyOf(server.model, text)
  // A small clip with padding: the body is measured, not the decoding of a long video.
  const large = bodyOf(server.model, inline(Buffer.concat([video, Buffer.alloc(32 * MiB - video.length)])))
  const rows = []
  try {
    for (const load of ['text × 4', 'text × 4 beside 32 MiB inline']) {
      let inlined = 0
      let running = true
      const sender = (async () => {
        while (running && load.includes('inline')) {
          await expectAnswer(post(server.url, large, agent))
          inlined += 1
        }
      })()
      const { latencies, elapsed } = await closedLoop(
        () => expectAnswer(post(server.url, query, agent)),
        4,
        Math.max(seconds, 10),
      )
      running = false
      await sender
      rows.push({
        load,
        'text/s': round(latencies.length / elapsed, 1),
        'p50 ms': round(percentile(latencies, 0.5)),
        'p99 ms': round(percentile(latencies, 0.99)),
        'max ms': round(Math.max(...latencies)),
        '32 MiB/s': round(inlined / elapsed),
        'server MiB': server.memory(),
      })
    }
  } finally {
    agent.destroy()
    await server.stop()
  }
  return rows
}

/** Sends videos at twice the rate that the server can embed. */
async function overload(model, { video }, seconds, capacity, inFlight) {
  const server = await startServer(model, ['--max-items-in-flight', inFlight])
  const agent = new http.Agent({ keepAlive: true, maxSockets: 512 })
  const body = bodyOf(server.model, inline(video))
  try {
    const answers = await openLoop(() => post(server.url, body, agent), 2 * capacity, 2 * seconds)
    return [200, 429, 'other'].map((status) => {
      const ms = answers
        .filter(
          (answer) => answer.status === status || (status === 'other' && ![200, 429].includes(answer.status)),
        )
        .map((answer) => answer.ms)
      return {
        status,
        answers: ms.length,
        'arrivals/s': round(2 * capacity, 1),
        'p50 ms': ms.length === 0 ? '' : round(percentile(ms, 0.5)),
        'p99 ms': ms.length === 0 ? '' : round(percentile(ms, 0.99)),
        'server MiB': server.memory(),
      }
    })
  } finally {
    agent.destroy()
    await server.stop()
  }
}

async function expectAnswer(answer) {
  const { status } = await answer
  if (status !== 200) throw new Error(`the server answered ${status}`)
}

const inline = (bytes) => `data:video/mp4;base64,${bytes.toString('base64')}`

function bodyOf(model, input) {
  return Buffer.from(JSON.stringify({ request_type: 'query', input, model, encoding_format: 'base64' }))
}

async function startServer(model, flags = []) {
  const cli = fileURLToPath(new URL('dist/cli/bin.js', root))
  const child = spawn(process.execPath, [cli, 'serve', '--model', model, '--port', '0', ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const url = await new Promise((resolve, reject) => {
    let text = ''
    child.stderr.setEncoding('utf8').on('data', (part) => {
      text += part
      if (text.includes('cosmos-embed: ready')) resolve(/listening on (http:\/\/[^,\s]+)/.exec(text)[1])
    })
    child.on('exit', () => reject(new Error(`the server ended: ${text}`)))
  })
  /** @type {any} */
  const { data } = await (await fetch(`${url}/v1/models`)).json()
  return {
    url,
    model: data[0].id,
    /** Peak resident memory so far, in MiB. */
    memory: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)[1]) / 1024)
    },
    stop: () => {
      child.kill('SIGTERM')
      return new Promise((resolve) => child.on('exit', resolve))
    },
  }
}
