/** What is killed and started again loses nothing and has nothing twice: `kill -9` of a real process at random moments. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { random } from '../embedder/random.ts'
import { vectorOf } from './double.mjs'
import { storedRows, temporaryFolder } from './support.ts'

const folder = temporaryFolder()
const child = path.join(import.meta.dirname, 'children', 'build.mjs')
const KILLS = 17

it.each([
  ['parts of Parquet', 'out', 'whole', 1],
  ['windows in parts of Parquet', 'windows', 'windows', 2],
  ['JSON lines', 'lines.jsonl', 'windows', 3],
])('%s', async (_, name, windows, seed) => {
  const below = random(seed)
  const out = path.join(folder, name)
  const manifest = path.join(folder, `${name}.manifest.jsonl`)
  const count = 2000
  const items = Array.from({ length: count }, (_, index) => ({ id: `i${index}`, video: `/v/${index}.mp4` }))
  writeFileSync(manifest, items.map((item) => `${JSON.stringify(item)}\n`).join(''))
  for (let kill = 0; kill < KILLS; kill++) {
    const running = spawn(process.execPath, [child, manifest, out, windows], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = once(running, 'exit')
    await Promise.race([once(running.stdout, 'data'), ended])
    // Through the first writes, of which there are many in a short time.
    const timer = setTimeout(() => running.kill('SIGKILL'), below(120))
    await ended
    clearTimeout(timer)
  }
  const last = spawn(process.execPath, [child, manifest, out, windows], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [code] = await once(last, 'exit')
  expect(code).toBe(0)
  const rows = await storedRows(out)
  const expected = items.flatMap(({ id, video }) =>
    windows === 'windows'
      ? Array.from({ length: Number(/(\d)\.\w+$/.exec(video)?.[1]) || 0 }, (_, window) => ({
          id: `${id}#t=${window},${window + 1}`,
          of: `${video}@${window}`,
        }))
      : [{ id, of: video }],
  )
  expect(rows.length).toBe(expected.length)
  const stored = new Map(rows.map((row) => [row.id, row.embedding]))
  for (const { id, of } of expected) expect(Float32Array.from(stored.get(id) ?? []), id).toEqual(vectorOf(of))
  if (existsSync(path.join(out, '_index.json'))) {
    expect(readdirSync(out).filter((file) => !/^(part-\d{6}\.parquet|_index\.json)$/.test(file))).toEqual([])
  }
})
