/** The package in a root file system with only glibc, libstdc++ and Node.js, no newer than the package requires. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { requireGlibc } from './elf-edit.ts'
import { type MinimalRoot, minimalRoot, runInside } from './minimal-root.ts'
import { clips, cosine, packed, result, run, videos } from './support.ts'

const addon = 'cosmos-embed.glibc.node'
const insideVideos = videos.map((video) => `/clips/${path.basename(video)}`)
const platforms = [process.arch, ...(process.arch === 'x64' ? ['arm64'] : [])]

describe.each(platforms)('a system with glibc and Node.js alone, %s', (arch) => {
  const platform = `linux-${arch}`
  let root: MinimalRoot
  let problem = ''

  beforeAll(() => {
    const prebuild = path.join(packed.root, 'prebuilds', platform)
    if (!existsSync(prebuild)) {
      problem = `there is no prebuilds/${platform}; "npm run prebuild -- --arch ${arch}" makes it`
      return
    }
    try {
      root = minimalRoot(packed.cache, arch)
    } catch (error) {
      problem = (error as Error).message
      return
    }
    const app = path.join(root.folder, 'app')
    rmSync(app, { recursive: true, force: true })
    mkdirSync(app)
    execFileSync('cp', ['-a', `${packed.project}/.`, app])
    const prebuilds = path.join(app, 'node_modules', 'cosmos-embed', 'prebuilds')
    rmSync(prebuilds, { recursive: true })
    cpSync(prebuild, path.join(prebuilds, platform), { recursive: true })
    cpSync(clips, path.join(root.folder, 'clips'), { recursive: true })
    const probe = runInside(root, '/', ['-e', '0'])
    if (probe.status !== 0) {
      problem = `Node.js does not start in a root of ${root.release}: ${probe.error?.message ?? probe.stderr.split('\n')[0]}`
    }
  }, 300_000)

  const inside = (...args: string[]) => runInside(root, '/app', args)

  it('contains no FFmpeg, shell or other program', ({ skip }) => {
    if (problem) skip(problem)
    const names = readdirSync(root.folder, { recursive: true })
      .map(String)
      .filter((name) => !/^(app|clips)\//.test(name))
    expect(names.filter((name) => /libav|libsw|libonnx|bin\/(sh|bash)$/.test(name))).toEqual([])
  })

  it('embeds an mp4, a webm and a text into the same vectors as this machine', ({ skip }) => {
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
    // Logs which glibc it ran with.
    console.log(root.release, findings[0].found)
  })

  it('refuses a binary that needs a glibc newer than 2.28', ({ skip }) => {
    if (problem) skip(problem)
    const file = path.join(root.folder, 'app', 'node_modules', 'cosmos-embed', 'prebuilds', platform, addon)
    const kept = readFileSync(file)
    try {
      writeFileSync(file, requireGlibc(kept, '2.29'))
      expect(JSON.parse(inside('failing.mjs').stdout).message).toMatch(/version `GLIBC_2\.29' not found/)
    } finally {
      writeFileSync(file, kept)
    }
  })
})
