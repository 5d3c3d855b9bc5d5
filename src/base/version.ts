import { readFileSync } from 'node:fs'

interface Manifest {
  name: string
  version: string
}

/** Of this package, and of the addon, which must be equal. */
export const VERSION: string = ownManifest().version

function ownManifest(): Manifest {
  const file = new URL('../../package.json', import.meta.url)
  try {
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest
    if (manifest.name === 'cosmos-embed') return manifest
  } catch {}
  throw new Error(
    `cosmos-embed does not find its own files: ${file.pathname} is not its package.json. Where a bundler took only the ` +
      'JavaScript, mark cosmos-embed as external (esbuild: --external:cosmos-embed) and install it beside the bundle.',
  )
}
