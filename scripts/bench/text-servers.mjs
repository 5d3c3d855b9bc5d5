// The servers that `npm run bench text` and `npm run bench memory` measure, and the model that all of them load.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

import { randomFrom } from '../random.mjs'
import { pythonWith } from './python.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const requirements = 'text-model/requirements.txt'
const bundledId = 'all-minilm-l6-v2'

/**
 * The folders `bundle` and `hub` of scripts/bench/text-model/make.py. The first use makes them, with a Python environment.
 * With `embedded`, the bundle's weights lie in its graph instead of beside it.
 */
export function textModel({ embedded = false } = {}) {
  const folder = path.join(root, 'bench-output', embedded ? 'text-model-embedded' : 'text-model')
  if (!existsSync(path.join(folder, 'bundle', 'model.json'))) {
    const script = here('text-model/make.py')
    const flags = ['--out', folder, ...(embedded ? ['--embedded'] : [])]
    const { status } = spawnSync(pythonWith(requirements), [script, ...flags], { stdio: 'inherit' })
    if (status !== 0) throw new Error(`${script} failed`)
  }
  return { bundle: path.join(folder, 'bundle'), hub: path.join(folder, 'hub') }
}

/** `cosmos-embed serve` of the checkout `folder`. */
export function ours({ bundle, folder = root, flags = [], node = [] }) {
  const { id } = JSON.parse(readFileSync(path.join(bundle, 'model.json'), 'utf8'))
  const cli = path.join(folder, 'dist/cli/bin.js')
  const args = [...node, '--no-warnings', cli, 'serve', '--model', bundle, '--port', '0', ...flags]
  return start(process.execPath, args, {
    ready: /cosmos-embed: ready/,
    body: { request_type: 'query', model: id },
  })
}

/** FastAPI with ONNX Runtime, in Python. */
export function python({ hub }) {
  return start(pythonWith(requirements), [here('peers/text_server.py'), hub], { body: { model: bundledId } })
}

/**
 * ONNX Runtime alone with `callers` texts waiting at a time: the limit of every server that uses it.
 *
 * @returns {{ perSecond: number, processorMs: number, batch: number }} `batch`, the size that was fastest
 */
export function alone({ hub, callers, seconds }) {
  const next = textsOf(callers)
  const rounds = Array.from({ length: Math.ceil(256 / callers) }, () => Array.from({ length: callers }, next))
  const args = [here('peers/text_alone.py'), hub, String(seconds)]
  const input = JSON.stringify(rounds)
  /** @type {import('node:child_process').StdioOptions} */
  const stdio = ['pipe', 'pipe', 'inherit']
  const { status, stdout } = spawnSync(pythonWith(requirements), args, { encoding: 'utf8', input, stdio })
  if (status !== 0) throw new Error(`${args[0]} failed`)
  return JSON.parse(stdout)
}

/** @returns the program text-embeddings-router if it is on PATH */
export function findRouter() {
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  return folders.map((folder) => path.join(folder, 'text-embeddings-router')).find((file) => existsSync(file))
}

/** text-embeddings-inference, built with its ONNX Runtime backend. It must be told where that library is. */
export function router({ hub, program, port, flags = [] }) {
  const library = path.join(root, 'node_modules/onnxruntime-node/bin/napi-v6', `linux/${process.arch}`)
  const args = [
    '--model-id',
    hub,
    '--port',
    String(port),
    '--hostname',
    '127.0.0.1',
    '--auto-truncate',
    ...flags,
  ]
  return start(program, args, {
    ready: /Ready/,
    url: `http://127.0.0.1:${port}`,
    env: { ORT_DYLIB_PATH: path.join(library, 'libonnxruntime.so.1'), ORT_DISABLE_TELEMETRY: '1' },
    body: { model: bundledId },
  })
}

/**
 * Starts a server. `ready` is what it prints once it serves; `url`, for one that does not print its address.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {{ ready?: RegExp, url?: string, env?: Record<string, string>, body: object }} options
 */
async function start(program, args, { ready = /listening/, url, env = {}, body }) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise((resolve) => child.on('exit', resolve))
  const address = await new Promise((resolve, reject) => {
    let log = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part) => {
        log = (log + part).slice(-8000)
        const found = url ?? /http:\/\/127[^,\s]+/.exec(log)?.[0]
        if (found && ready.test(log)) resolve(found)
      })
    }
    ended.then(() => reject(new Error(`${program} ${args[0]} ended: ${log}`)))
  })
  return {
    pid: child.pid,
    embed: (texts, agent) => post(address, { ...body, input: texts, encoding_format: 'base64' }, agent),
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
  }
}

/** @returns the vectors as base64, which this client does not read further, since it shares the processor with the server */
function post(address, value, agent) {
  const body = JSON.stringify(value)
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const request = http.request(
      `${address}/v1/embeddings`,
      { method: 'POST', agent, headers },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part) => {
          text += part
        })
        response.on('end', () => {
          if (response.statusCode === 200)
            resolve([...text.matchAll(/"embedding":"([^"]+)"/g)].map(([, each]) => each))
          else reject(new Error(`${address} answered ${response.statusCode}: ${text.slice(0, 300)}`))
        })
        response.on('error', reject)
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

const words =
  'a blue square and a red circle move slowly to the left of the picture while green triangles turn over white ground people walk dogs along streets at night in rain'.split(
    ' ',
  )

/** Texts of 4 to 17 words, the same in every run. */
export function textsOf(seed) {
  const random = randomFrom(seed)
  const below = (limit) => Math.floor(random() * limit)
  return () => Array.from({ length: 4 + below(14) }, () => words[below(words.length)]).join(' ')
}
