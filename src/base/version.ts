/** The version of this package, read from its package.json. */
import { readFileSync } from 'node:fs'

interface Manifest {
  name: string
  version: string
}

/** Version of this package. The addon must have the same. */
export const VERSION: string = ownManifest().version

function ownManifest(): Manifest {
  const file = new URL('../../package.json', import.meta.url)
  try {
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest
    if (manifest.name === 'cosmos-embed') return manifest
  } catch {}
  throw new Error(
    `cosmos-embed cannot find its own files: ${file.pathname} is not its package.json. If a bundler took only the ` +
      'JavaScript, mark cosmos-embed as external (esbuild: --external:cosmos-embed) and install it beside the bundle.',
  )
}
