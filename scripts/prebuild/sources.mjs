// Fetches the sources of FFmpeg and of the libraries linked into it: the distribution's source packages with its patches.
// sources.json names the distribution's release, which may differ from this machine's, the reviewed versions, and the sha256
// of their files.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { privateApt } from './private-apt.mjs'
import { PrebuildError, run } from './run.mjs'

const lockFile = fileURLToPath(new URL('sources.json', import.meta.url))

/**
 * Downloads the sources that `folder` lacks. When a security update has replaced a version in the archive, takes the newest
 * and prints so, or throws with `strict`. With `update`, takes the newest versions and writes them to sources.json.
 *
 * @returns [{ name, version, files: { file: sha256 }, folder }]
 */
export function fetchSources(folder, { strict = false, update = false } = {}) {
  const { suite, packages } = JSON.parse(readFileSync(lockFile, 'utf8'))
  let apt
  const archive = () => {
    if (apt) return apt
    apt = privateApt(path.join(folder, `apt-sources-${suite}`), { type: 'deb-src', suite, updates: true })
    apt.update()
    return apt
  }

  function choose(name, known) {
    const available = archive().sourceVersions(name)
    const [newest] = available
    if (!newest) throw new PrebuildError(`no source package ${name} of ${suite} in this system's archives`)
    if (update) return newest
    if (available.some(({ version }) => version === known.version)) return known
    const what = `${name} ${known.version} is gone from the archives, which now hold ${newest.version}`
    if (strict) throw new PrebuildError(`${what}. Review it, then run: npm run prebuild -- --update-sources`)
    console.error(`[prebuild] ${what}: building that one`)
    return newest
  }

  function download(name, { version, files }, into) {
    mkdirSync(into, { recursive: true })
    archive().downloadSource(`${name}=${version}`, into)
    const wrong = Object.keys(files).find((file) => sha256(path.join(into, file)) !== files[file])
    if (wrong) throw new PrebuildError(`${path.join(into, wrong)} does not have the sha256 ${files[wrong]}`)
  }

  const sources = Object.entries(packages).map(([name, known]) => {
    const chosen =
      !update && isComplete(place(folder, name, known), known.files) ? known : choose(name, known)
    const into = place(folder, name, chosen)
    if (!isComplete(into, chosen.files)) download(name, chosen, into)
    return { name, ...chosen, folder: into }
  })
  if (update) {
    const newest = Object.fromEntries(sources.map(({ name, version, files }) => [name, { version, files }]))
    writeFileSync(lockFile, `${JSON.stringify({ suite, packages: newest }, null, 2)}\n`)
  }
  return sources
}

/** Unpacks the source tree into `into` and applies the distribution's patches. */
export function unpack({ folder }, into, log) {
  const files = readdirSync(folder)
  const [upstream, debian] = [/\.orig\.tar\.\w+$/, /\.debian\.tar\.\w+$/].map((pattern) =>
    path.join(folder, files.find((file) => pattern.test(file)) ?? ''),
  )
  mkdirSync(into, { recursive: true })
  run('tar', ['-xf', upstream, '--no-same-owner', '--strip-components=1', '-C', into], { log })
  // Unpacks the whole folder, because naming debian/patches would fail for a package without patches.
  run('tar', ['-xf', debian, '--no-same-owner', '-C', into, 'debian'], { log })
  const series = path.join(into, 'debian', 'patches', 'series')
  const patches = existsSync(series) ? readFileSync(series, 'utf8').split('\n') : []
  for (const patch of patches.map((line) => line.replace(/#.*/, '').trim()).filter(Boolean)) {
    run('patch', ['-p1', '--forward', '--batch', '-i', path.join('debian', 'patches', patch)], {
      cwd: into,
      log,
    })
  }
}

export function sha256(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

function isComplete(folder, files) {
  return Object.entries(files).every(([file, hash]) => {
    const full = path.join(folder, file)
    return existsSync(full) && sha256(full) === hash
  })
}

/** Replaces the colon of an epoch, which separates entries in PATH-like variables. */
function place(folder, name, { version }) {
  return path.join(folder, 'sources', name, version.replaceAll(':', '_'))
}
