import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expandGlob, isGlob } from '../../src/bulk/glob.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'glob-'))
const names = [
  'a.mp4',
  'b.mp4',
  'c.mkv',
  'a+b (1).mp4',
  '.hidden.mp4',
  'deep/a.mp4',
  'deep/er/d.mp4',
  '[x].mp4',
]

beforeAll(() => {
  for (const name of names) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), '')
  }
  symlinkSync(folder, path.join(folder, 'circle'))
})

afterAll(() => rmSync(folder, { recursive: true }))

test.each([
  ['*.mp4', ['[x].mp4', 'a+b (1).mp4', 'a.mp4', 'b.mp4']],
  ['?.mp4', ['a.mp4', 'b.mp4']],
  ['[ac].*', ['a.mp4', 'c.mkv']],
  ['[!a].*', ['b.mp4', 'c.mkv']],
  ['{b,c}.{mp4,mkv}', ['b.mp4', 'c.mkv']],
  ['a+*).mp4', ['a+b (1).mp4']],
  ['.h*', ['.hidden.mp4']],
  ['**/d.mp4', ['deep/er/d.mp4']],
  ['**/a.mp4', ['a.mp4', 'deep/a.mp4']],
  ['deep/*/*.mp4', ['deep/er/d.mp4']],
  ['deep/../*.mkv', ['c.mkv']],
  ['*', ['[x].mp4', 'a+b (1).mp4', 'a.mp4', 'b.mp4', 'c.mkv']],
  ['*.avi', []],
  ['nowhere/*.mp4', []],
])('%s', async (pattern, files) => {
  const found = await expandGlob(path.posix.join(folder.replaceAll('\\', '/'), '/') + pattern)
  expect(found.map((file) => path.relative(folder, file))).toEqual(files)
})

test.each(['what is this?', 'a red car', 'why?', 'a {curly} text', 'a [b'])('%j is not a pattern', (word) => {
  expect(isGlob(word)).toBe(false)
})
