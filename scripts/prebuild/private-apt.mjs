// Runs apt-get with its own configuration: the archives that this machine trusts, but separate lists and cache. It changes
// nothing on the system, needs no root, and checks signatures as usual.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PrebuildError, read } from './run.mjs'

const etc = '/etc/apt'

/**
 * @param {string} folder of its configuration, lists and archives
 * @param {object} options
 * @param {'deb' | 'deb-src'} options.type
 * @param {string} [options.suite] another release of the same distribution, e.g. 'bullseye'
 * @param {boolean} [options.updates] also its update suites, which archives drop first for old releases
 * @param {string} [options.arch] of the packages, in the distribution's words, e.g. 'arm64'; default: this machine's
 */
export function privateApt(folder, { type, suite, updates = false, arch }) {
  for (const name of ['lists/partial', 'archives/partial'])
    mkdirSync(path.join(folder, name), { recursive: true })
  const sources = path.join(folder, 'archives.sources')
  const machine = stanzas()
  const wanted = !suite
    ? machine
    : updates
      ? ofRelease(suite, machine)
      : [{ ...machine.find(isMainArchive), Suites: suite }]
  writeFileSync(sources, wanted.map((stanza) => deb822({ ...stanza, Types: type })).join('\n'))
  writeFileSync(path.join(folder, 'status'), '')
  const configuration = path.join(folder, 'apt.conf')
  writeFileSync(
    configuration,
    [
      `Dir::Etc::sourcelist "${sources}";`,
      'Dir::Etc::sourceparts "-";',
      // Without this, apt would also consider the installed versions.
      `Dir::State::status "${path.join(folder, 'status')}";`,
      `Dir::State::lists "${path.join(folder, 'lists')}";`,
      `Dir::Cache "${folder}";`,
      `Dir::Cache::archives "${path.join(folder, 'archives')}";`,
      // apt's sandbox user could not write to this folder.
      'APT::Sandbox::User "";',
      ...(arch ? [`APT::Architecture "${arch}";`, `APT::Architectures { "${arch}"; };`] : []),
      // The machine's hooks expect the machine's lists.
      '#clear APT::Update::Post-Invoke;',
      '#clear APT::Update::Post-Invoke-Success;',
      '',
    ].join('\n'),
  )
  const env = { APT_CONFIG: configuration, LC_ALL: 'C' }
  return {
    update: () => read('apt-get', ['-qq', 'update'], { env }),
    /** The versions of a source package in the archives, newest first, with the sha256 of their files. */
    sourceVersions: (name) =>
      newestFirst(parseSources(read('apt-cache', ['showsrc', '--only-source', name], { env }))),
    downloadSource: (spec, cwd) =>
      read('apt-get', ['-qq', '--only-source', '--download-only', 'source', spec], { env, cwd }),
    /** Downloads the .deb into `cwd`. */
    download: (name, cwd) => read('apt-get', ['-qq', 'download', name], { env, cwd }),
  }
}

/** Reads the archives of this machine's distribution, in both formats of apt. */
function stanzas() {
  const files = [path.join(etc, 'sources.list'), ...list(path.join(etc, 'sources.list.d'))]
  const found = files.flatMap((file) => {
    const text = content(file)
    return file.endsWith('.sources') ? fromDeb822(text) : file.endsWith('.list') ? fromLines(text) : []
  })
  const own = found.filter(
    ({ URIs, Components }) => /\bmain\b/.test(Components ?? '') && /debian|ubuntu/.test(URIs),
  )
  if (own.length === 0) throw new PrebuildError(`no Debian or Ubuntu archive in ${etc}/sources.list*`)
  return own
}

function fromDeb822(text) {
  return text
    .split(/\n\s*\n/)
    .map((block) =>
      Object.fromEntries(
        block
          .split('\n')
          .filter((line) => /^[A-Za-z-]+:/.test(line))
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
      ),
    )
    .filter(({ Types, Enabled }) => Types?.split(' ').includes('deb') && Enabled !== 'no')
}

function fromLines(text) {
  return [...text.matchAll(/^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/gm)].map(
    ([, options = '', uri, suite, components]) => ({
      URIs: uri,
      Suites: suite,
      Components: components,
      'Signed-By': /signed-by=(\S+)/.exec(options)?.[1],
    }),
  )
}

function isMainArchive({ Suites }) {
  return Suites.split(' ').some((suite) => !suite.includes('-'))
}

/** Replaces the release in the names of the suites: 'bookworm-security' becomes 'trixie-security'. */
function ofRelease(suite, machine) {
  const release = machine
    .find(isMainArchive)
    .Suites.split(' ')
    .find((name) => !name.includes('-'))
  return machine.map((stanza) => ({ ...stanza, Suites: stanza.Suites.replaceAll(release, suite) }))
}

function deb822(stanza) {
  const keys = ['Types', 'URIs', 'Suites', 'Components', 'Signed-By']
  return keys.flatMap((key) => (stanza[key] ? [`${key}: ${stanza[key]}\n`] : [])).join('')
}

function parseSources(text) {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const version = /^Version: (.+)$/m.exec(stanza)?.[1]
    const checksums = /^Checksums-Sha256:[^\n]*((?:\n .+)+)/m.exec(stanza)?.[1]
    if (!version || !checksums) return []
    const files = [...checksums.matchAll(/^ (\w{64}) \d+ (\S+)$/gm)].map(([, sha256, file]) => [file, sha256])
    return [{ version, files: Object.fromEntries(files) }]
  })
}

function newestFirst(found) {
  const newer = (a, b) => spawnSync('dpkg', ['--compare-versions', a.version, 'gt', b.version]).status === 0
  return found.sort((a, b) => (newer(a, b) ? -1 : newer(b, a) ? 1 : 0))
}

function list(folder) {
  try {
    return readdirSync(folder).map((file) => path.join(folder, file))
  } catch {
    return []
  }
}

function content(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
