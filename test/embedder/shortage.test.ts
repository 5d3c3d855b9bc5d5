/** A process that can open no more files says so, goes on, and blames no file for it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { expect, it, onTestFinished } from 'vitest'

const root = path.join(import.meta.dirname, '../..')
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

// With each round one more descriptor can be had, so that each that a call needs is once the one that is missing.
const program = `
import { closeSync, createReadStream, openSync, readFileSync } from 'node:fs'
import { createEmbedder } from ${JSON.stringify(path.join(root, 'dist/index.js'))}

const [video, picture, isolation] = process.argv.slice(1)
const embedder = await createEmbedder({ device: 'cpu', decode: { isolation } })
const bytes = readFileSync(video)
const calls = [
  () => embedder.embedVideo(video),
  () => embedder.embedVideo(bytes),
  () => embedder.embedVideo(createReadStream(video)),
  () => embedder.embedImage(picture),
]
for (const call of calls) await call()
const taken = []
try {
  for (;;) taken.push(openSync('/dev/null'))
} catch (error) {
  if (error.code !== 'EMFILE') throw error
}
const outcomes = {}
for (let round = 0; round < 10; round += 1) {
  for (const call of calls) {
    const outcome = await call().then(
      () => 'embedded',
      ({ code, status, retryable, details, message }) =>
        code === 'out_of_memory' && !details.decoderEnded ? [code, status, retryable].join(' ') : code + ': ' + message,
    )
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  closeSync(taken.pop())
}
for (const descriptor of taken) closeSync(descriptor)
for (const call of calls) await call()
const { crashed = 0, busy = 0 } = embedder.stats().decoders ?? {}
await embedder.dispose()
process.stdout.write(JSON.stringify({ outcomes, crashed, busy }))
`

it.each(['process', 'none'])(
  'with isolation "%s"',
  (isolation) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-shortage-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const picture = path.join(folder, 'picture.png')
    writeFileSync(picture, Buffer.from(png, 'base64'))
    const video = path.join(root, 'examples/clips/red-circle.mp4')
    const { status, stdout, stderr } = spawnSync(
      '/bin/sh',
      // Node raises the limit to the hard one, which this sets too.
      [
        '-c',
        'ulimit -n 256 && exec "$0" "$@"',
        process.execPath,
        '--input-type=module',
        '-e',
        program,
      ].concat(video, picture, isolation),
      { encoding: 'utf8', timeout: 60_000 },
    )
    expect(status, stderr).toBe(0)
    const shortage = 'out_of_memory 503 true'
    expect(JSON.parse(stdout)).toEqual({
      outcomes: { embedded: expect.any(Number), [shortage]: expect.any(Number) },
      crashed: 0,
      busy: 0,
    })
  },
  60_000,
)
