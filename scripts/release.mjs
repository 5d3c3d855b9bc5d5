// Makes the files of a release from prebuilds/: the package, the sources of its libraries, the SBOM, the arm64 prebuild
// where there is one, and their SHA-256 sums. Publishes nothing.
//
//   node scripts/release.mjs [folder] [--repository https://github.com/OWNER/cosmos-embed]
//
// The folder is `release` unless it is named. In a GitHub workflow the repository is the workflow's own.

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
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checkFolder } from './check-binary.mjs'
import { PrebuildError, read } from './prebuild/run.mjs'
import { sha256 } from './prebuild/sources.mjs'
import { archiveSources } from './source-archive.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const prebuilds = path.join(root, 'prebuilds')

/** Where package.json has no repository yet. npm refuses provenance for a package that names another one. */
const placeholder = 'https://github.com/OWNER/cosmos-embed'

/** Packs the checkout, with `repository`, `bugs` and `homepage` filled in. Changes a copy, because a run may be killed. */
function pack(folder, repository) {
  const original = readFileSync(path.join(root, 'package.json'), 'utf8')
  if (original.split(placeholder).length !== 4) {
    throw new PrebuildError(`package.json must have ${placeholder} in repository, bugs and homepage`)
  }
  if (repository === undefined) {
    console.error('release: no --repository is named, so this package is for tests and must not be published')
    packFolder(root, folder)
    return
  }
  const scratch = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-release-'))
  try {
    packFolder(root, scratch)
    read('tar', ['--extract', '--file', path.join(scratch, readdirSync(scratch)[0]), '-C', scratch])
    const copy = path.join(scratch, 'package')
    writeFileSync(path.join(copy, 'package.json'), original.replaceAll(placeholder, repository))
    packFolder(copy, folder)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function packFolder(folder, destination) {
  read('npm', ['pack', '--ignore-scripts', '--pack-destination', destination], { cwd: folder })
}

function repositoryOf(named) {
  const { GITHUB_SERVER_URL, GITHUB_REPOSITORY } = process.env
  const url = named ?? (GITHUB_REPOSITORY && `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}`)
  if (url !== undefined && !/^https:\/\/[\w.-]+\/[\w.-]+\/[\w.-]+$/.test(url)) {
    throw new PrebuildError(`--repository ${url}: expected an address such as ${placeholder}`)
  }
  return url
}

/** @returns the lines of SHA256SUMS */
function makeRelease(folder, repository) {
  const { name, version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })

  // The published package holds one platform (docs/packaging.md).
  for (const platform of [
    'linux-x64',
    ...(existsSync(path.join(prebuilds, 'linux-arm64')) ? ['linux-arm64'] : []),
  ]) {
    const problems = checkFolder(path.join(prebuilds, platform))
    const build = JSON.parse(readFileSync(path.join(prebuilds, platform, 'build.json'), 'utf8'))
    if (build.version !== version)
      problems.push(`prebuilds/${platform} is of ${build.version}, not ${version}`)
    if (problems.length > 0) throw new PrebuildError(problems.join('\n'))
  }
  pack(folder, repository)
  copyFileSync(
    path.join(prebuilds, 'linux-x64', 'sbom.cdx.json'),
    path.join(folder, `${name}-${version}.cdx.json`),
  )
  archiveSources(path.join(folder, `${name}-${version}-sources.tar`))
  if (existsSync(path.join(prebuilds, 'linux-arm64'))) {
    read('tar', [
      ...['--create', '--file', path.join(folder, 'linux-arm64.tar.gz'), '--use-compress-program=gzip -n'],
      ...['--sort=name', '--owner=0', '--group=0', '--numeric-owner', '--mtime=@1700000000'],
      ...['-C', prebuilds, 'linux-arm64'],
    ])
  }
  const files = readdirSync(folder).sort()
  const sums = files.map((file) => `${sha256(path.join(folder, file))}  ${file}\n`).join('')
  writeFileSync(path.join(folder, 'SHA256SUMS'), sums)
  return sums
}

try {
  const { values, positionals } = parseArgs({
    options: { repository: { type: 'string' } },
    allowPositionals: true,
  })
  const folder = path.resolve(positionals[0] ?? path.join(root, 'release'))
  process.stdout.write(makeRelease(folder, repositoryOf(values.repository)))
} catch (error) {
  if (!(error instanceof PrebuildError)) throw error
  console.error(`release: ${error.message}`)
  process.exit(1)
}
