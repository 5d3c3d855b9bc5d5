// Finds and loads the addon. Importing this never fails, so that the package can be imported on any machine. If the addon
// cannot be loaded, the first call throws an error that lists what was tried and possible remedies.
//
// If COSMOS_EMBED_ADDON is set, only that file is tried; otherwise build/Release (a source checkout), then prebuilds.

import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { damage } from './elf.js'
import { explainLoadFailure } from './load-failure.js'

const require = createRequire(import.meta.url)
const root = fileURLToPath(new URL('..', import.meta.url))

const names = [
  'decodeClip',
  'openSegments',
  'createEngine',
  'probeOnnxRuntime',
  'probeTensorRt',
  'probeGpu',
  'openGpu',
  'openDecoderPool',
  'nearest',
  'resizeRgb',
  'vectorToJson',
  'diagnostics',
]

let addon

export default Object.fromEntries(names.map((name) => [name, (...args) => load()[name](...args)]))

function load() {
  if (addon) return addon
  const { name, version, engines } = require('../package.json')
  const attempt = { path: process.env.COSMOS_EMBED_ADDON }
  try {
    if (attempt.path) {
      attempt.path = path.resolve(attempt.path)
    } else {
      attempt.path = require('node-gyp-build').resolve(root)
      rejectDamagedFiles(path.dirname(attempt.path), attempt)
    }
    const found = require(attempt.path)
    const { version: built } = found.diagnostics()
    if (built !== version) {
      throw Object.assign(new Error(`built for ${name} ${built}, but this is ${version}`), {
        code: 'VERSION_MISMATCH',
      })
    }
    addon = found
    return addon
  } catch (error) {
    throw explainLoadFailure({
      attempts: isNotFound(error) ? searchedFolders() : [{ path: attempt.path ?? 'node-gyp-build', error }],
      override: process.env.COSMOS_EMBED_ADDON,
      platform: process.platform,
      arch: process.arch,
      libc: libc(),
      node: process.versions.node,
      engines: engines.node,
    })
  }
}

/** Checks the addon and the libraries beside it. */
function rejectDamagedFiles(folder, attempt) {
  for (const file of readdirSync(folder).filter((name) =>
    /\.node$|\.so(\.\d+)?$|^cosmos-embed-decoder$/.test(name),
  )) {
    const full = path.join(folder, file)
    const problem = damage(full)
    if (problem) {
      attempt.path = full
      throw Object.assign(new Error(`${file} ${problem}`), { code: 'DAMAGED' })
    }
  }
}

function isNotFound(error) {
  return error.message.startsWith('No native build was found')
}

/** The folders in which node-gyp-build found no addon for this machine, with what they contain instead. */
function searchedFolders() {
  return ['build/Release', `prebuilds/${process.platform}-${process.arch}`].map((folder) => {
    const full = path.join(root, folder)
    let message = 'no such folder'
    try {
      message = `holds no addon for this machine, only: ${readdirSync(full).join(', ') || 'nothing'}`
    } catch {}
    return { path: full, error: Object.assign(new Error(message), { code: 'NO_BUILD' }) }
  })
}

/** "glibc 2.36" | "musl" | "" (not Linux). */
function libc() {
  if (process.platform !== 'linux') return ''
  process.report.excludeNetwork = true // otherwise the report resolves the host names of open sockets
  const version = process.report.getReport().header.glibcVersionRuntime
  return version ? `glibc ${version}` : 'musl'
}
