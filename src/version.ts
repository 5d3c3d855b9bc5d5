import { readFileSync } from 'node:fs'

interface Manifest {
  version: string
}

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as Manifest

/** Of this package, and of the addon, which must be equal. */
export const VERSION: string = manifest.version
