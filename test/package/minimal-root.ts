/** A root file system with glibc, libstdc++ and Node.js and nothing else: no shell, no /proc, no /dev. */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { privateApt } from '../../scripts/prebuild/private-apt.mjs'

/** Oldest first; the package asks for glibc 2.28, which is that of buster. */
const releases: Record<string, string[]> = {
  debian: ['buster', 'bullseye', 'bookworm', 'trixie'],
  ubuntu: ['focal', 'jammy', 'noble'],
}
const packages = ['libc6', 'libgcc-s1', 'libstdc++6']

/** The oldest release that this machine's package archive still has. Throws with the reason where there is none. */
export function minimalRoot(cache: string): { folder: string; release: string } {
  const distribution = /^ID=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''
  const reasons: string[] = []
  for (const release of releases[distribution] ?? []) {
    const folder = path.join(cache, `root-${release}`)
    try {
      if (!existsSync(path.join(folder, 'complete'))) unpackRoot(folder, release, cache)
      copyFileSync(process.execPath, path.join(folder, 'node'))
      return { folder, release: `${distribution} ${release}` }
    } catch (error) {
      reasons.push(
        `${release}: ${String((error as Error).message)
          .trim()
          .split('\n')
          .at(-1)}`,
      )
    }
  }
  throw new Error(
    `no package archive with an old release (${reasons.join('; ') || `${distribution} is not known here`})`,
  )
}

function unpackRoot(folder: string, release: string, cache: string) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const apt = privateApt(path.join(cache, `apt-${release}`), { type: 'deb', suite: release })
  apt.update()
  const debs = mkdtempSync(path.join(cache, 'debs-'))
  for (const name of packages) apt.download(name, debs)
  for (const deb of readdirSync(debs)) execFileSync('dpkg-deb', ['-x', path.join(debs, deb), folder])
  rmSync(debs, { recursive: true })
  writeFileSync(path.join(folder, 'complete'), '')
}

/** Runs Node.js with `folder` as its root, `cwd` inside. As root or with user namespaces. */
export function runInside(folder: string, cwd: string, args: readonly string[]) {
  const root = process.getuid?.() === 0 ? [] : ['--map-root-user']
  return spawnSync('unshare', [...root, `--root=${folder}`, `--wd=${cwd}`, '/node', ...args], {
    encoding: 'utf8',
    env: { HOME: '/', PATH: process.env.PATH ?? '' },
    timeout: 120_000,
  })
}
