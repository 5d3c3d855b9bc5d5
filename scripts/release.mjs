// Makes the files of a release from prebuilds/: the package, the sources of its libraries, the SBOM, the arm64 prebuild
// where there is one, and their SHA-256 sums. Publishes nothing.
//
//   node scripts/release.mjs [folder]     (default: release)

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { checkFolder } from './check-binary.mjs'
import { PrebuildError, read } from './prebuild/run.mjs'
import { sha256 } from './prebuild/sources.mjs'
import { archiveSources } from './source-archive.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const prebuilds = path.join(root, 'prebuilds')

/** @returns the lines of SHA256SUMS */
function makeRelease(folder) {
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
  read('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root })
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
  process.stdout.write(makeRelease(path.resolve(process.argv[2] ?? path.join(root, 'release'))))
} catch (error) {
  if (!(error instanceof PrebuildError)) throw error
  console.error(`release: ${error.message}`)
  process.exit(1)
}
