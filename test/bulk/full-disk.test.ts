/** A run on a full disk fails, and resumes once there is space. Skipped if no small file system can be mounted. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { storedRows, temporaryFolder } from './support.ts'

const folder = temporaryFolder()
const disk = path.join(folder, 'disk')
mkdirSync(disk)
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', disk]).status === 0
if (!isMounted) console.warn('a full disk is not tried: no file system can be mounted here')
afterAll(() => {
  if (isMounted) spawnSync('umount', [disk])
})

const child = path.join(import.meta.dirname, 'children', 'build.mjs')

it.skipIf(!isMounted).each(['parts', 'lines.jsonl'])('%s', async (name) => {
  const manifest = path.join(folder, 'manifest.jsonl')
  const items = Array.from({ length: 1000 }, (_, index) => ({ id: `i${index}`, video: `/v/${index}.mp4` }))
  writeFileSync(manifest, items.map((item) => `${JSON.stringify(item)}\n`).join(''))
  const out = path.join(disk, name)
  const build = () => spawnSync(process.execPath, [child, manifest, out], { encoding: 'utf8' })
  const full = build()
  expect(full.status).toBe(1)
  expect(full.stderr).toContain('the disk is full')
  expect(spawnSync('mount', ['-o', 'remount,size=20m', disk]).status).toBe(0)
  const { status, stdout } = build()
  expect(status).toBe(0)
  expect(
    JSON.parse(stdout.split('\n').at(-2) ?? '').skipped,
    'what had been written was kept',
  ).toBeGreaterThan(0)
  const ids = (await storedRows(out)).map(({ id }) => id)
  expect(ids.length).toBe(4500)
  expect(new Set(ids).size).toBe(4500)
  spawnSync('rm', ['-rf', out])
  spawnSync('mount', ['-o', 'remount,size=200k', disk])
})
