// Writes <folder>/cosmos-embed-<version>-sources.tar: the complete source of the libraries in prebuilds/, as their licence
// (LGPL 2.1) asks for beside them. It is this checkout with the distribution's source packages where `npm run prebuild`
// looks for them: unpacked, that command makes the same files again. The same inputs give the same bytes.
//
//   node scripts/source-archive.mjs [folder]     (default: the current one)

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { read } from './prebuild/run.mjs'
import { fetchSources, sha256 } from './prebuild/sources.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const { name, version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))

const sources = fetchSources(path.join(root, '.cache', 'prebuild'))
for (const platform of readdirSync(path.join(root, 'prebuilds'))) {
  const build = JSON.parse(readFileSync(path.join(root, 'prebuilds', platform, 'build.json'), 'utf8'))
  const others = sources.filter((source) => build.sources[source.name]?.version !== source.version)
  if (others.length === 0) continue
  console.error(
    `source archive: prebuilds/${platform} was built from other versions of its sources; build it again`,
  )
  process.exit(1)
}

const packages = sources.flatMap(({ folder, files }) =>
  Object.keys(files).map((file) => path.relative(root, path.join(folder, file))),
)
const checkout = read('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], { cwd: root })
  .split('\0')
  .filter(Boolean)
const archive = path.resolve(process.argv[2] ?? '.', `${name}-${version}-sources.tar`)
const { status, stderr } = spawnSync(
  'tar',
  [
    ...['--create', '--file', archive, '--null', '--files-from=-', '--format=gnu'],
    ...['--owner=0', '--group=0', '--numeric-owner', '--mtime=@1700000000', '--mode=u+rw,go=rX'],
    `--transform=s,^,${name}-${version}/,`,
  ],
  { cwd: root, input: [...checkout.sort(), ...packages.sort()].join('\0'), encoding: 'utf8' },
)
if (status !== 0) {
  console.error(`source archive: tar failed: ${stderr}`)
  process.exit(1)
}
console.log(`${sha256(archive)}  ${archive}`)
