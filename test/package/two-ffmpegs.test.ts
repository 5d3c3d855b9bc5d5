/** The FFmpeg of the package beside another one in the same process, in either order and with local or global symbols. */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { cosine, packed, prebuild, result, run, videos } from './support.ts'

const other = path.join(path.dirname(packed.project), 'other-ffmpeg.node')
let problem = ''
let alone: number[][]

beforeAll(() => {
  const headers = createRequire(import.meta.url)('node-api-headers').include_dir
  const source = path.join(packed.root, 'test', 'package', 'other-ffmpeg.cc')
  const { status, error, stderr } = spawnSync(
    'g++',
    ['-shared', '-fPIC', '-o', other, source, `-I${headers}`, '-lavformat', '-lavcodec', '-lavutil'],
    { encoding: 'utf8' },
  )
  if (status !== 0) problem = `no other FFmpeg to build against: ${error?.message ?? stderr.split('\n')[0]}`
  alone = result(run(process.execPath, ['embed.mjs', ...videos])).vectors
})

describe('another FFmpeg in the same process', () => {
  it.for([
    ['ours', 'local'],
    ['ours', 'global'],
    ['other', 'local'],
    ['other', 'global'],
  ])('does not disturb either when %s is loaded first with %s symbols', ([first, scope], { skip }) => {
    if (problem) skip(problem)
    const addon = path.join(prebuild, 'cosmos-embed.glibc.node')
    const found = result(
      run(process.execPath, ['two-ffmpegs.mjs', other, addon, `${first}`, `${scope}`, ...videos]),
    ) as unknown as {
      vectors: number[][]
      frames: Record<string, number[]>
      configurations: [string, string]
    }
    found.vectors.forEach((vector, i) => {
      expect(cosine(vector, alone[i])).toBeCloseTo(1, 6)
    })
    const [theirs, ours] = found.configurations
    expect(ours).toContain('--build-suffix=-cosmos')
    expect(theirs).not.toContain('-cosmos')
    for (const count of found.frames.before ?? []) expect(count).toBeGreaterThan(0)
    expect(found.frames.during).toEqual(found.frames.before)
    expect(found.frames.after).toEqual(found.frames.before)
  })
})
