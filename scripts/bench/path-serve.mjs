// The second part of `npm run bench path`: `cosmos-embed serve` beside FastAPI with the same decoder and model in Python.
//
// Both get the same requests in the same order, with the video inline as base64 or as a presigned URL, which leads to a
// server of this process. Clients and servers share the machine.

import { once } from 'node:events'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import http from 'node:http'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { similarity } from '../../dist/index.js'
import { startMeasured } from './process-tree.mjs'
import { percentile, round } from './report.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const connectionCounts = [1, 8, 64]
/** Files that clients send inline are small; longer ones go through storage. */
const LARGEST_BYTES = 4 * 2 ** 20
const LOWEST_COSINE = 0.99
const START_SECONDS = 120

/** @returns rows of a report */
export async function compareServers({ python, model, reader, requests, media }) {
  const files = media.map(({ file }) => file).filter((file) => statSync(file).size <= LARGEST_BYTES)
  const { id } = JSON.parse(readFileSync(path.join(model, 'model.json'), 'utf8'))
  const storage = await startStorage(files)
  const kinds = {
    inline: files.map((file) => `data:video/mp4;base64,${readFileSync(file, 'base64')}`),
    URL: files.map((_, index) => `data:video/mp4;presigned_url,${storage.origin}/${index}`),
  }
  const rows = []
  try {
    for (const [kind, inputs] of Object.entries(kinds)) {
      const bodies = inputs.map((input) => bodyOf(input, id))
      const mine = await serve('cosmos-embed serve', ourServer(model, storage), { bodies, requests })
      const other = await serve('FastAPI', theirServer(python, model, reader), { bodies, requests })
      compareVectors(mine.vectors, other.vectors, files)
      for (const [place, connections] of connectionCounts.entries()) {
        for (const { program, loads, peakMiB, processorMs } of [mine, other]) {
          rows.push({
            load: `${kind} × ${connections}`,
            program,
            'requests/s': round(requests / loads[place].seconds),
            'ours ÷ it': round(loads[place].seconds / mine.loads[place].seconds),
            'p50 ms': round(percentile(loads[place].latencies, 0.5), 1),
            'p99 ms': round(percentile(loads[place].latencies, 0.99), 1),
            // Of all loads, and of the start.
            'CPU ms/request': Math.round(processorMs),
            'peak MiB': Math.round(peakMiB),
          })
        }
      }
    }
  } finally {
    storage.close()
  }
  return rows
}

/** Starts a server, takes the vector of every body, and puts each load on it. */
async function serve(program, { command, args, address }, { bodies, requests }) {
  const { program: child, finished, output } = startMeasured(command, args, { cwd: root })
  try {
    const url = await ready(child, () => address(output()))
    const vectors = []
    for (const body of bodies) vectors.push(vectorOf(await post(url, body)))
    const loads = []
    for (const connections of connectionCounts) loads.push(await load(url, { bodies, requests, connections }))
    child.kill('SIGTERM')
    const { peakMiB, cpuSeconds } = await finished
    const answers = bodies.length + connectionCounts.length * requests
    return { program, vectors, loads, peakMiB, processorMs: (1000 * cpuSeconds) / answers }
  } catch (error) {
    child.kill('SIGKILL')
    await finished
    throw Object.assign(error, { message: `${error.message}\n${output()}` })
  }
}

function ourServer(model, { origin, port }) {
  const storage = ['--url-http', origin, '--url-private', origin, '--url-port', String(port)]
  const args = [
    path.join(root, 'dist', 'cli', 'bin.js'),
    'serve',
    '--model',
    model,
    '--port',
    '0',
    ...storage,
  ]
  const address = (output) => /listening on (http:\/\/[^,\s]+)/.exec(output)?.[1]
  return { command: process.execPath, args, address }
}

function theirServer(python, model, reader) {
  const port = 20_000 + Math.floor(Math.random() * 10_000)
  const job = { model, reader, port, processes: availableParallelism() }
  const args = [path.join(root, 'scripts', 'bench', 'peers', 'path_server.py'), JSON.stringify(job)]
  return { command: python, args, address: () => `http://127.0.0.1:${port}` }
}

async function ready(program, address) {
  const deadline = performance.now() + 1000 * START_SECONDS
  while (performance.now() < deadline && program.exitCode === null) {
    const url = address()
    const answer = url && (await fetch(`${url}/v1/health/ready`).catch(() => undefined))
    if (answer?.ok) return url
    await sleep(100)
  }
  throw new Error(`${program.spawnargs.slice(0, 2).join(' ')} did not become ready`)
}

/** `connections` clients, each sending its next request as soon as it has an answer, until all are answered. */
async function load(url, { bodies, requests, connections }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
  const latencies = []
  let next = 0
  const began = performance.now()
  const client = async () => {
    for (let index = next++; index < requests; index = next++) {
      const start = performance.now()
      await post(url, bodies[index % bodies.length], agent)
      latencies.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: connections }, client))
  agent.destroy()
  return { latencies, seconds: (performance.now() - began) / 1000 }
}

function bodyOf(input, model) {
  const request = { input, model, request_type: 'query', encoding_format: 'base64' }
  return Buffer.from(JSON.stringify(request))
}

function post(url, body, agent) {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length }
    const request = http.request(`${url}/v1/embeddings`, { method: 'POST', agent, headers }, (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('end', () => {
        const text = Buffer.concat(parts).toString()
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`the server answered ${response.statusCode}: ${text}`))
      })
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

function vectorOf(answer) {
  const bytes = Buffer.from(JSON.parse(answer).data[0].embedding, 'base64')
  return new Float32Array(Uint8Array.from(bytes).buffer)
}

function compareVectors(mine, other, files) {
  for (const [index, file] of files.entries()) {
    const cosine = similarity(mine[index], other[index])
    if (!(cosine >= LOWEST_COSINE))
      throw new Error(`${file}: the servers' vectors have a cosine of ${cosine}`)
  }
}

/** Serves the files by their position in the list. */
async function startStorage(files) {
  const server = http.createServer((request, response) => {
    const file = files[Number(request.url.slice(1))]
    response.writeHead(200, { 'content-type': 'video/mp4', 'content-length': statSync(file).size })
    createReadStream(file).pipe(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return { origin: `http://127.0.0.1:${port}`, port, close: () => server.close() }
}
