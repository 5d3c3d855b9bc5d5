// Archives the complete source of the libraries in prebuilds/, which their licence (LGPL 2.1) requires: this checkout, with
// the distribution's source packages where `npm run prebuild` looks for them. In the unpacked archive that command makes the
// same files again. The archive is reproducible.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { PrebuildError, read } from './prebuild/run.mjs'
import { fetchSources } from './prebuild/sources.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Writes a .tar with one folder, which has the archive's name. */
export function archiveSources(archive) {
  const sources = fetchSources(path.join(root, '.cache', 'prebuild'))
  for (const platform of readdirSync(path.join(root, 'prebuilds'))) {
    const build = JSON.parse(readFileSync(path.join(root, 'prebuilds', platform, 'build.json'), 'utf8'))
    const other = sources.find(({ name, version }) => build.sources[name]?.version !== version)
    if (other) {
      throw new PrebuildError(`prebuilds/${platform} was built from another ${other.name}; build it again`)
    }
  }
  const packages = sources.flatMap(({ folder, files }) =>
    Object.keys(files).map((file) => path.relative(root, path.join(folder, file))),
  )
  const tracked = read('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], { cwd: root })
  const { status, stderr } = spawnSync(
    'tar',
    [
      ...['--create', '--file', archive, '--null', '--files-from=-', '--format=gnu'],
      ...['--owner=0', '--group=0', '--numeric-owner', '--mtime=@1700000000', '--mode=u=rwX,go=rX'],
      `--transform=flags=r;s,^,${path.basename(archive, '.tar')}/,`,
    ],
    { cwd: root, input: [...tracked.split('\0').filter(Boolean), ...packages].sort().join('\0') },
  )
  if (status !== 0) throw new PrebuildError(`tar failed: ${stderr}`)
}
