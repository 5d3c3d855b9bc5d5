/** A run that is killed at random moments (`kill -9`) and restarted loses no rows and duplicates none. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { linkLance } from '../adapters/lancedb-install.ts'
import { random } from '../embedder/random.ts'
import { vectorOf } from './double.mjs'
import { hasQdrant, reusedQdrant } from './qdrant-server.ts'
import { storedRows, temporaryFolder } from './support.ts'

const folder = temporaryFolder()
const child = path.join(import.meta.dirname, 'children', 'build.mjs')
/** Kills per destination: sixty in all. */
const KILLS = 25
const SLOW_KILLS = 5

const videos = Array.from({ length: 1000 }, (_, index) => ({ id: `i${index}`, video: `/v/${index}.mp4` }))
/** A manifest of some videos, and the rows of their index. Each has as many windows as the last digit of its name. */
function library(count: number) {
  const manifest = path.join(folder, `${count}.jsonl`)
  const items = videos.slice(0, count)
  writeFileSync(manifest, items.map((item) => `${JSON.stringify(item)}\n`).join(''))
  const rows = items.flatMap(({ id, video }, index) =>
    Array.from({ length: index % 10 }, (_, window) => ({
      id: `${id}#t=${window},${window + 1}`,
      vector: vectorOf(`${video}@${window}`),
    })),
  )
  return { manifest, rows }
}
const [large, small] = [library(1000), library(200)]

const noLance = linkLance()
const qdrant = hasQdrant ? await reusedQdrant() : undefined
afterAll(() => qdrant?.stop())

/** The destinations; `where` names one that is empty, and `within` is how many milliseconds a run is left to work. */
const quick = { kills: KILLS, within: 80, of: large }
const slow = { kills: SLOW_KILLS, within: 300, of: small }
const destinations = {
  'parts of Parquet': { ...quick, where: (run: number) => path.join(folder, `parts-${run}`) },
  'JSON lines': { ...quick, where: (run: number) => path.join(folder, `lines-${run}.jsonl`) },
  LanceDB: { ...slow, where: (run: number) => path.join(folder, `${run}.lance`) },
  Qdrant: { ...slow, where: () => qdrant?.empty() ?? '' },
}

const missing: Record<string, boolean> = { LanceDB: noLance !== undefined, Qdrant: !hasQdrant }

describe.concurrent.each(Object.entries(destinations))('%s', (name, { kills: wanted, within, of, where }) => {
  it.skipIf(missing[name])(
    'loses no rows and duplicates none',
    async () => {
      const below = random(name.length)
      let out = await where(0)
      for (let kills = 0; kills < wanted; ) {
        if (await runAndKill(of, out, below(within))) kills++
        else {
          await checkWhole(of, out)
          out = await where(kills)
        }
      }
      expect(await runAndKill(of, out, Number.POSITIVE_INFINITY)).toBe(false)
      await checkWhole(of, out)
    },
    300_000,
  )
})

type Library = ReturnType<typeof library>

/** Whether the process was still working so many milliseconds after it had started to. */
async function runAndKill({ manifest }: Library, out: string, after: number): Promise<boolean> {
  const running = spawn(process.execPath, [child, manifest, out], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(running, 'exit')
  await Promise.race([once(running.stdout, 'data'), ended])
  const timer =
    after === Number.POSITIVE_INFINITY ? undefined : setTimeout(() => running.kill('SIGKILL'), after)
  const [code, signal] = await ended
  clearTimeout(timer)
  if (signal === null) expect(code).toBe(0)
  return signal === 'SIGKILL'
}

async function checkWhole({ rows: expected }: Library, out: string): Promise<void> {
  const rows = await storedRows(out)
  expect(rows.length).toBe(expected.length)
  const stored = new Map(rows.map((row) => [row.id, row.embedding]))
  for (const { id, vector } of expected) expect(Float32Array.from(stored.get(id) ?? []), id).toEqual(vector)
  if (out.endsWith('.lance')) expect(readdirSync(out)).toEqual(['cosmos_embed.lance'])
  if (!existsSync(path.join(out, '_index.json'))) return
  expect(readdirSync(out).filter((file) => !/^(part-\d{6}\.parquet|_index\.json)$/.test(file))).toEqual([])
}
