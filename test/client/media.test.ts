/** How a client reads the media that it sends. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'
import { clientOf, foreignServer, inputsOf, type Seen, vectors } from './support.ts'

it('sends what a stream held when it yielded it, though it reuses its buffer', async () => {
  const server = await foreignServer(vectors)
  async function* reusing() {
    const buffer = Buffer.alloc(4)
    for (let byte = 1; byte <= 5; byte++) {
      buffer.fill(byte)
      yield buffer.subarray(0, byte % 4 || 4)
      await null
    }
  }
  await clientOf(server.url).embedVideo(reusing())
  const [sent] = inputsOf(server.seen[0] as Seen) as string[]
  expect(Buffer.from(sent?.split('base64,')[1] ?? '', 'base64').toString('hex')).toBe(
    '01020203030304040404' + '05',
  )
})

it('opens no FIFO, and gives up a path on abort', async () => {
  const server = await foreignServer(vectors)
  const folder = mkdtempSync(path.join(tmpdir(), 'client-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const fifo = path.join(folder, 'fifo')
  execFileSync('mkfifo', [fifo])
  for (const file of [fifo, pathToFileURL(fifo), folder, '/dev/null']) {
    await expect(clientOf(server.url).embedVideo(file)).rejects.toMatchObject({
      code: 'source',
      message: expect.stringContaining('not a regular file'),
    })
  }
  expect(server.seen.filter(({ body }) => 'input' in body)).toEqual([])
})
