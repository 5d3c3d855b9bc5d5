/** The package where nothing else is: a root with glibc, libstdc++ and Node.js of the oldest release to be had. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { minimalRoot, runInside } from './minimal-root.ts'
import { clips, cosine, packed, result, run, videos } from './support.ts'

let root: { folder: string; release: string } | undefined
let problem = ''

beforeAll(() => {
  try {
    root = minimalRoot(packed.cache)
  } catch (error) {
    problem = (error as Error).message
    return
  }
  const app = path.join(root.folder, 'app')
  rmSync(app, { recursive: true, force: true })
  mkdirSync(app)
  execFileSync('cp', ['-a', `${packed.project}/.`, app])
  cpSync(clips, path.join(root.folder, 'clips'), { recursive: true })
  const probe = runInside(root.folder, '/', ['-e', '0'])
  if (probe.status !== 0) {
    problem = `Node.js does not start in a root of ${root.release}: ${probe.error?.message ?? probe.stderr.split('\n')[0]}`
  }
}, 300_000)

function inside(...args: string[]) {
  return runInside((root as { folder: string }).folder, '/app', args)
}

const insideVideos = videos.map((video) => `/clips/${path.basename(video)}`)

describe('a system with glibc and Node.js alone', () => {
  it('holds no FFmpeg, no shell and no other program', ({ skip }) => {
    if (problem) skip(problem)
    const folder = (root as { folder: string }).folder
    const names = readdirSync(folder, { recursive: true })
      .map(String)
      .filter((name) => !/^(app|clips)\//.test(name))
    expect(names.filter((name) => /libav|libsw|libonnx|bin\/(sh|bash)$/.test(name))).toEqual([])
  })

  it('embeds an mp4, a webm and a text, and gets the vectors of this machine', ({ skip }) => {
    if (problem) skip(problem)
    const { vectors } = result(inside('embed.mjs', ...insideVideos))
    const here = result(run(process.execPath, ['embed.mjs', ...videos])).vectors
    vectors.forEach((vector, i) => {
      expect(cosine(vector, here[i])).toBeGreaterThan(0.9999)
    })
    expect(vectors).toHaveLength(3)
  })

  it('passes cosmos-embed doctor', ({ skip }) => {
    if (problem) skip(problem)
    const { status, stdout } = inside('node_modules/cosmos-embed/dist/cli/bin.js', 'doctor', '--json')
    const { findings } = JSON.parse(stdout)
    expect(findings.filter(({ state }: { state: string }) => state === 'failed')).toEqual([])
    expect(status).toBe(0)
    // The glibc that it ran with, for the log.
    console.log((root as { release: string }).release, findings[0].found)
  })
})
