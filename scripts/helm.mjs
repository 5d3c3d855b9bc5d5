// Builds Helm from its Go module, for the test of the chart in deploy/, which is skipped without it. Needs Go.
//
//   node scripts/helm.mjs
//
// The program is kept in ~/.cache/cosmos-embed. The first build takes minutes.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

const version = 'v3.22.0'
const folder = path.join(
  process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'),
  'cosmos-embed',
  `helm-${version}`,
)

/** Where the program is, if it has been built. */
export const helmFile = path.join(folder, 'helm')

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href && !existsSync(helmFile)) {
  mkdirSync(folder, { recursive: true })
  const { status, error } = spawnSync('go', ['install', `helm.sh/helm/v3/cmd/helm@${version}`], {
    env: { ...process.env, GOBIN: folder },
    stdio: 'inherit',
  })
  if (error) console.error(`Go is needed: ${error.message}`)
  process.exitCode = status ?? 1
}
