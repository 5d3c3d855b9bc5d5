/**
 * A root file system that contains only glibc, libstdc++ and Node.js: no shell, no /proc, no /dev. Its libraries come from
 * the oldest release in the package archive of this machine. Symbol versions newer than those of Debian 10 and RHEL 8 are
 * hidden, so that binaries that need them do not load.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { ceilings, compare } from '../../scripts/check-binary.mjs'
import { privateApt } from '../../scripts/prebuild/private-apt.mjs'
import { withoutVersions } from './elf-edit.ts'

/** Oldest first. The package requires glibc 2.28, the version of buster. */
const releases: Record<string, string[]> = {
  debian: ['buster', 'bullseye', 'bookworm', 'trixie'],
  ubuntu: ['focal', 'jammy', 'noble'],
}
const packages = ['libc6', 'libgcc-s1', 'libstdc++6']

export interface MinimalRoot {
  folder: string
  /** e.g. "debian bullseye arm64" */
  release: string
  /** The command that runs Node.js inside, possibly through an emulator. */
  node: string[]
}

/**
 * Unpacks the oldest available release. For another architecture, Node.js runs in QEMU. Throws with the reason if there is
 * no such release.
 */
export function minimalRoot(cache: string, arch: string = process.arch): MinimalRoot {
  const distribution = /^ID=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''
  const reasons: string[] = []
  for (const release of releases[distribution] ?? []) {
    const folder = path.join(cache, `root-${release}-${arch}-glibc-${ceilings.GLIBC}`)
    try {
      if (!existsSync(path.join(folder, 'complete'))) unpackRoot(folder, release, arch, cache)
      if (arch === process.arch) copyFileSync(process.execPath, path.join(folder, 'node'))
      const node = arch === process.arch ? ['/node'] : ['/qemu', '/node']
      return { folder, release: `${distribution} ${release} ${arch}`, node }
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

function unpackRoot(folder: string, release: string, arch: string, cache: string) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const debianArch = { x64: 'amd64', arm64: 'arm64' }[arch]
  if (!debianArch) throw new Error(`${arch} is not known here`)
  unpackPackages(packages, folder, path.join(cache, `apt-${release}-${arch}`), {
    suite: release,
    arch: debianArch,
  })
  hideNewerVersions(folder)
  if (arch !== process.arch) {
    const tools = path.join(folder, 'emulator')
    unpackPackages(['qemu-user-static'], tools, path.join(cache, 'apt-tools'), {})
    copyFileSync(path.join(tools, 'usr', 'bin', 'qemu-aarch64-static'), path.join(folder, 'qemu'))
    const npm = ['install', '--force', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', tools]
    execFileSync('npm', [...npm, `node-linux-${arch}@${process.versions.node}`], { stdio: 'pipe' })
    copyFileSync(
      path.join(tools, 'node_modules', `node-linux-${arch}`, 'bin', 'node'),
      path.join(folder, 'node'),
    )
    rmSync(tools, { recursive: true })
  }
  writeFileSync(path.join(folder, 'complete'), '')
}

function unpackPackages(
  names: readonly string[],
  into: string,
  aptFolder: string,
  from: { suite?: string; arch?: string },
) {
  const apt = privateApt(aptFolder, { type: 'deb', ...from })
  apt.update()
  const debs = mkdtempSync(path.join(aptFolder, 'debs-'))
  for (const name of names) apt.download(name, debs)
  for (const deb of readdirSync(debs)) execFileSync('dpkg-deb', ['-x', path.join(debs, deb), into])
  rmSync(debs, { recursive: true })
}

function hideNewerVersions(folder: string) {
  const isNewer = (version: string) => {
    const [family = '', number = ''] = version.split('_')
    return family in ceilings && /^[\d.]+$/.test(number) && compare(number, ceilings[family] as string) > 0
  }
  for (const name of readdirSync(folder, { recursive: true }).map(String)) {
    const file = path.join(folder, name)
    if (!/\.so(\.[\d.]+)?$/.test(name) || !lstatSync(file).isFile()) continue
    const bytes = readFileSync(file)
    if (bytes.toString('latin1', 1, 4) === 'ELF') writeFileSync(file, withoutVersions(bytes, isNewer))
  }
}

/** Runs Node.js inside the root file system, with `cwd` in it. Needs root or user namespaces. */
export function runInside({ folder, node }: MinimalRoot, cwd: string, args: readonly string[]) {
  const user = process.getuid?.() === 0 ? [] : ['--map-root-user']
  return spawnSync('unshare', [...user, `--root=${folder}`, `--wd=${cwd}`, ...node, ...args], {
    encoding: 'utf8',
    env: { HOME: '/', PATH: process.env.PATH ?? '' },
    timeout: 120_000,
  })
}
