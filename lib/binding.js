// Finds and loads the addon. Importing this never fails; the first call does, with an error that says what was tried
// and what to do, so that the package can be imported, and can explain itself, on any machine.
//
// Order: the file that COSMOS_EMBED_ADDON names, and then only that one; build/Release (a source checkout); prebuilds.

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
  'resizeRgb',
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
      refuseDamaged(path.dirname(attempt.path), attempt)
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
      attempts: notFound(error) ? searched() : [{ path: attempt.path ?? 'node-gyp-build', error }],
      override: process.env.COSMOS_EMBED_ADDON,
      platform: process.platform,
      arch: process.arch,
      libc: libc(),
      node: process.versions.node,
      engines: engines.node,
    })
  }
}

/** The addon and the libraries that lie beside it. */
function refuseDamaged(folder, attempt) {
  for (const file of readdirSync(folder).filter((name) => /\.node$|\.so(\.\d+)?$/.test(name))) {
    const full = path.join(folder, file)
    const problem = damage(full)
    if (problem) {
      attempt.path = full
      throw Object.assign(new Error(`${file} ${problem}`), { code: 'DAMAGED' })
    }
  }
}

function notFound(error) {
  return error.message.startsWith('No native build was found')
}

/** Where node-gyp-build looked without finding a file for this machine, and what is there instead. */
function searched() {
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
  process.report.excludeNetwork = true // else the report resolves host names of open sockets
  const version = process.report.getReport().header.glibcVersionRuntime
  return version ? `glibc ${version}` : 'musl'
}
