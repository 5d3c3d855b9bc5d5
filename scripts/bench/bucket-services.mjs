// What `npm run bench bucket` needs around it: a bucket full of clips, a PostgreSQL, a Redis, each of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const UPLOADS = 16

/** Starts moto and PostgreSQL. Their data is in `folder` and in memory. */
export async function startServers(python, folder) {
  const script = fileURLToPath(new URL('bucket.py', import.meta.url))
  const server = spawn(python, [script, path.join(folder, 'postgres')], {
    env: { ...process.env, PYTHONWARNINGS: 'ignore' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [line] = await announced(server, 'bucket.py', /^\{.*\}$/m)
  return { ...JSON.parse(line), stop: () => stop(server, () => server.stdin.end()) }
}

/** Starts a Redis without persistence. */
export async function startRedis() {
  const port = await freePort()
  const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no' }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`])
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await announced(server, 'redis-server', /Ready to accept connections/)
  } catch (cause) {
    throw new Error('redis-server did not start; "node scripts/setup.mjs --queue" installs it', { cause })
  }
  return { url: `redis://127.0.0.1:${port}`, stop: () => stop(server, () => server.kill('SIGTERM')) }
}

/** Creates the bucket and stores `count` objects, whose bytes `bodyOf` gives. @returns their number of bytes */
export async function fillBucket({ endpoint, bucket, count, keyOf, bodyOf }) {
  const { CreateBucketCommand, PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3')
  const client = new S3Client({ endpoint, forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  let [next, bytes] = [0, 0]
  const upload = async () => {
    while (next < count) {
      const index = next++
      const Body = bodyOf(index)
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: keyOf(index), Body }))
      bytes += Body.length
    }
  }
  await Promise.all(Array.from({ length: UPLOADS }, upload))
  client.destroy()
  return bytes
}

/**
 * The bytes of an MP4 file and `number`, in a box that players skip: a decodable video of its own, whose pictures are those of
 * the file.
 */
export function variation(file, number) {
  const text = Buffer.from(`copy ${number}`)
  const box = Buffer.alloc(8)
  box.writeUInt32BE(8 + text.length)
  box.write('free', 4, 'latin1')
  return Buffer.concat([readFileSync(file), box, text])
}

/** Waits until the output of a program has `pattern`, and returns the match. Rejects if the program ends before. */
async function announced(program, name, pattern) {
  let output = ''
  return await new Promise((resolve, reject) => {
    program.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      const match = pattern.exec(output)
      if (match) resolve(match)
    })
    program.once('error', reject)
    program.once('exit', (code, signal) => {
      reject(new Error(`${name} ended with ${code ?? signal}:\n${output}`))
    })
  })
}

async function stop(program, ask) {
  if (program.exitCode !== null || program.signalCode !== null) return
  const exit = once(program, 'exit')
  ask()
  await exit
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address())
  await new Promise((resolve) => probe.close(resolve))
  return port
}
