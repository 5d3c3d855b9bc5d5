// Makes prebuilds/linux-<arch>/: the addon, our own FFmpeg and ONNX Runtime, for every Linux with glibc 2.28 or newer.
//
//   npm run prebuild -- [--arch x64|arm64] [--strict] [--update-sources] [--check-reproducible]
//
//   --strict               refuse other versions of the sources than scripts/prebuild/sources.json names
//   --update-sources       take the newest sources and write their versions there
//   --check-reproducible   build a second time, from scratch in another folder, and compare every file
//
// FFmpeg is built once per set of inputs and kept in .cache/prebuild. docs/packaging.md says why each step is there.

import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { checkFolder } from './check-binary.mjs'
import { buildAddon } from './prebuild/addon.mjs'
import { components } from './prebuild/components.mjs'
import { buildLibraries } from './prebuild/libraries.mjs'
import { PrebuildError, run, say, timed } from './prebuild/run.mjs'
import { fetchSources, sha256 } from './prebuild/sources.mjs'
import { architectures, glibc, installTools, writeCompilers } from './prebuild/toolchain.mjs'
import { writeSbom } from './sbom.mjs'

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')
const require = createRequire(import.meta.url)
const cache = path.join(root, '.cache', 'prebuild')
/** The executable that decodes untrusted media, beside the addon. */
const decoder = 'cosmos-embed-decoder'

try {
  await main()
} catch (error) {
  if (!(error instanceof PrebuildError)) throw error
  console.error(`prebuild: ${error.message}`)
  process.exit(1)
}

async function main() {
  const { values } = parseArgs({
    options: {
      arch: { type: 'string', default: process.arch },
      strict: { type: 'boolean', default: false },
      'update-sources': { type: 'boolean', default: false },
      'check-reproducible': { type: 'boolean', default: false },
    },
  })
  const { arch } = values
  if (!architectures[arch]) {
    throw new PrebuildError(`--arch is ${arch}; it must be one of ${Object.keys(architectures).join(', ')}`)
  }
  run('node', [path.join(root, 'scripts', 'setup.mjs'), '--prebuild'], { log: path.join(cache, 'setup.log') })

  const sources = fetchSources(cache, { strict: values.strict, update: values['update-sources'] })
  const tools = installTools(cache)
  const wanted = components(root)
  const fingerprint = inputs({ arch, sources, wanted, versions: tools.versions })
  const inputsOfAll = { arch, sources, tools, wanted }

  const stage = build({
    ...inputsOfAll,
    checkout: root,
    folder: path.join(cache, `${arch}-${fingerprint}`),
    zigCache: path.join(cache, 'zig'),
  })
  if (values['check-reproducible']) checkReproducible(stage, inputsOfAll)

  const target = path.join(root, 'prebuilds', `linux-${arch}`)
  await assemble(stage, { arch, target })
  writeSbom(target)
  const problems = checkFolder(target, { say })
  if (problems.length > 0) throw new PrebuildError(problems.join('\n'))
}

/** Builds the parts that `folder` lacks. @returns the folder of the finished files */
function build({ arch, sources, tools, wanted, checkout, folder, zigCache }) {
  const env = writeCompilers(tools, { arch, build: folder, root: checkout, zigCache })
  const record = path.join(folder, 'libraries.json')
  if (!existsSync(record)) {
    say(`FFmpeg for linux-${arch} (minutes; the log is in ${path.relative(root, folder)}/logs)`)
    for (const name of readdirSync(folder))
      if (name !== 'bin') rmSync(path.join(folder, name), { recursive: true })
    const built = buildLibraries({ root: checkout, sources, arch, build: folder, env, wanted })
    writeFileSync(record, JSON.stringify(built, null, 2))
  }
  const { sysroot, libraries, configure } = JSON.parse(readFileSync(record, 'utf8'))
  const addon = timed('addon', () =>
    buildAddon({ root: checkout, arch, build: folder, sysroot, headers: tools.headers.folder, env }),
  )

  const stage = path.join(folder, 'stage')
  const release = path.join(stage, 'build', 'Release')
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(release, { recursive: true })
  cpSync(addon, path.join(release, 'cosmos-embed.node'))
  cpSync(path.join(path.dirname(addon), decoder), path.join(release, decoder))
  for (const { soname, file } of libraries) cpSync(file, path.join(release, soname))
  cpSync(onnxRuntime(arch), path.join(release, 'libonnxruntime.so.1'))

  const { version } = require('../package.json')
  const files = readdirSync(release).sort()
  const manifest = {
    version,
    target: `linux-${arch}`,
    glibc,
    compilers: tools.versions,
    sources: Object.fromEntries(
      sources.map((source) => [source.name, { version: source.version, files: source.files }]),
    ),
    headers: { [tools.headers.package]: tools.headers.version },
    ffmpeg: { configure, ...wanted },
    onnxruntime: require('onnxruntime-node/package.json').version,
    files: Object.fromEntries(files.map((file) => [file, sha256(path.join(release, file))])),
  }
  writeFileSync(path.join(stage, 'build.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return stage
}

/** Has prebuildify collect the addon and the libraries beside it. Everything is built by now, so its build step does nothing. */
async function assemble(stage, { arch, target }) {
  const work = path.join(stage, 'out')
  rmSync(work, { recursive: true, force: true })
  const addon = path.join(stage, 'build', 'Release', 'cosmos-embed.node')
  const kept = readFileSync(addon)
  await promisify(require('prebuildify'))({
    cwd: stage,
    out: work,
    name: 'cosmos-embed',
    platform: 'linux',
    arch,
    napi: true,
    tagLibc: true,
    libc: 'glibc',
    nodeGyp: 'true',
  })
  writeFileSync(addon, kept) // prebuildify moves it
  const made = path.join(work, 'prebuilds', `linux-${arch}`)
  cpSync(path.join(stage, 'build.json'), path.join(made, 'build.json'))
  // prebuildify takes only libraries along.
  cpSync(path.join(path.dirname(addon), decoder), path.join(made, decoder))
  rmSync(target, { recursive: true, force: true })
  mkdirSync(path.dirname(target), { recursive: true })
  renameSync(made, target)
}

/** Builds again from a copy of the checkout, without any result of the first build, in folders whose paths have other lengths. */
function checkReproducible(stage, inputsOfAll) {
  const work = path.join(cache, 'again')
  const checkout = path.join(work, 'a-checkout-elsewhere')
  rmSync(work, { recursive: true, force: true })
  const made = /^(\..*|build.*|dist|node_modules|prebuilds|release)$/
  for (const part of readdirSync(root).filter((name) => !made.test(name))) {
    cpSync(path.join(root, part), path.join(checkout, part), { recursive: true })
  }
  run('cp', ['-al', path.join(root, 'node_modules'), checkout], { log: path.join(work, 'copy.log') })
  const again = build({
    ...inputsOfAll,
    checkout,
    folder: path.join(work, 'in', 'a-folder-of-another-length'),
    zigCache: path.join(work, 'zig'),
  })
  const [first, second] = [stage, again].map((one) => {
    const { files } = JSON.parse(readFileSync(path.join(one, 'build.json'), 'utf8'))
    return files
  })
  const different = Object.keys(first).filter((file) => second[file] !== first[file])
  if (different.length > 0) {
    throw new PrebuildError(`two builds of the same inputs differ in ${different.join(', ')}; see ${again}`)
  }
  for (const [file, hash] of Object.entries(first)) say(`built twice, the same: ${hash}  ${file}`)
  rmSync(work, { recursive: true, force: true })
}

/** Of onnxruntime-node's 288 MB, only the library is packaged, unchanged. The package itself is a development dependency. */
function onnxRuntime(arch) {
  const folder = path.dirname(require.resolve('onnxruntime-node/package.json'))
  return path.join(folder, 'bin', 'napi-v6', 'linux', arch, 'libonnxruntime.so.1')
}

/** A hash of everything that FFmpeg's build depends on. */
function inputs({ arch, sources, wanted, versions }) {
  const hash = createHash('sha256').update(
    JSON.stringify({ arch, sources: sources.map(({ files }) => files), wanted, versions }),
  )
  const scripts = ['libraries.mjs', 'toolchain.mjs', 'sources.mjs'].map((file) => `scripts/prebuild/${file}`)
  const memory = ['.h', '.cc', '.map'].map((ending) => `native/memory/job_meter${ending}`)
  for (const file of [...scripts, ...memory]) hash.update(readFileSync(path.join(root, file)))
  return hash.digest('hex').slice(0, 16)
}
