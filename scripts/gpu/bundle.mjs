// npm run gpu-bundle: makes a folder that runs the GPU suite and `bench gpu` on a Linux machine that has only the driver. It
// holds Node.js, the prebuilt addon with its libraries, the model, clips, tests and the exporter. Run `npm run prebuild` first.
//
//   node scripts/gpu/bundle.mjs [--out DIR] [--model DIR] [--bench] [--check] [--no-archive]
//
//   --out DIR    default .cache/gpu-bundle; DIR.tar.xz, at most 60 MiB, is written beside it
//   --model DIR  another model bundle than models/demo, with its engines/ (without the limit on the size)
//   --bench      include the clips of `bench gpu` and `bench embed --device cuda` (without the limit on the size)
//   --check      run the bundle here with an empty environment: without a GPU it must start and say why it skips
//   --no-archive only the folder

import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { benchClip, published } from '../bench/media.mjs'
import { gpuClips } from './clips.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const limit = 60 * 2 ** 20
const { values } = parseArgs({
  options: {
    out: { type: 'string', default: path.join(root, '.cache', 'gpu-bundle') },
    model: { type: 'string' },
    bench: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    'no-archive': { type: 'boolean', default: false },
  },
})

const out = path.resolve(values.out)
const prebuild = path.join(root, 'prebuilds', `linux-${process.arch}`)
if (!existsSync(prebuild)) fail(`there is no ${path.relative(root, prebuild)}: run "npm run prebuild" first`)
// The prebuild must come from the sources of this checkout.
run(path.join(root, 'node_modules', '.bin', 'tsc'), ['-p', path.join(root, 'tsconfig.json')])
const built = statSync(path.join(prebuild, 'build.json')).mtimeMs
const changed = nativeSources().find((file) => statSync(path.join(root, file)).mtimeMs > built)
if (changed) fail(`${changed} changed after the addon was built: run "npm run prebuild" again`)
const { clips, reason } = gpuClips(path.join(root, '.cache', 'gpu-clips'))
if (clips.length === 0) fail(reason)
const benchClips = values.bench ? [30, 250].map((gop) => benchClip({ ...published, gop })) : []

rmSync(out, { recursive: true, force: true })
mkdirSync(path.join(out, 'bin'), { recursive: true })
cpSync(process.execPath, path.join(out, 'bin', 'node'))
if (spawnSync('strip', ['-s', path.join(out, 'bin', 'node')]).status !== 0)
  console.error('node keeps its symbols: no strip here')
for (const part of [
  ...[
    'package.json',
    'dist',
    'lib',
    'models/demo',
    'examples/clips',
    'test/gpu',
    'scripts/engine',
    'scripts/export',
    'scripts/gpu',
    'scripts/bench',
    'scripts/random.mjs',
  ],
  '.cache/gpu-clips',
  ...[prebuild, ...benchClips].map((file) => path.relative(root, file)),
]) {
  cpSync(path.join(root, part), path.join(out, part), {
    recursive: true,
    filter: (file) => path.basename(file) !== '__pycache__',
  })
}
if (values.model) cpSync(path.resolve(values.model), path.join(out, 'models', 'chosen'), { recursive: true })
for (const name of productionModules()) {
  cpSync(path.join(root, name), path.join(out, name), { recursive: true })
}
writeFileSync(
  path.join(out, 'run'),
  `#!/bin/sh
# ./run            the GPU suite
# ./run bench …    npm run bench gpu -- …; ./run bench embed … is npm run bench embed -- …
# ./run variants … forms of attention compared; needs Python with TensorRT, PyTorch and the exporter's packages
# ./run doctor …   and every other command of cosmos-embed
cd "$(dirname "$0")" || exit 1
export PREBUILDS_ONLY=1
${values.model ? 'export COSMOS_EMBED_GPU_MODEL="$PWD/models/chosen"\n' : ''}if [ "$1" = bench ]; then
  shift
  case "$1" in
    embed | gpu) ;;
    *) set -- gpu "$@" ;;
  esac
  exec bin/node scripts/bench/main.mjs "$@"
fi
if [ "$1" = variants ]; then
  shift
  exec bin/node scripts/gpu/variants.mjs "$@"
fi
if [ $# -gt 0 ]; then exec bin/node dist/cli/bin.js "$@"; fi
exec bin/node --test --test-reporter=spec test/gpu/nvdec.test.mjs test/gpu/embed.test.mjs
`,
  { mode: 0o755 },
)

if (!values['no-archive']) archive()
if (values.check) check()

/** Packs the folder, and fails if it is too large for the machines that it is made for. */
function archive() {
  const file = `${out}.tar.xz`
  run('tar', ['-C', path.dirname(out), '-cJf', file, path.basename(out)], { XZ_OPT: '-6 -T2' })
  const bytes = statSync(file).size
  const parts = Math.ceil(bytes / limit)
  console.log(
    `${file}: ${(bytes / 2 ** 20).toFixed(1)} MiB, ${clips.length} clips; ` +
      `${parts} ${parts === 1 ? 'part' : 'parts'} where a transfer takes ${limit / 2 ** 20} MiB`,
  )
  if (bytes > limit && !values.model && !values.bench) fail(`more than ${limit / 2 ** 20} MiB`)
}

function nativeSources() {
  const files = readdirSync(path.join(root, 'native'), { recursive: true, withFileTypes: true })
  return files
    .filter((file) => file.isFile())
    .map((file) => path.relative(root, path.join(file.parentPath, file.name)))
    .filter((file) => !file.startsWith(path.join('native', 'test')))
    .concat('CMakeLists.txt')
}

/**
 * The folders of the production dependencies, transitive ones included. From the lock file, because `npm ls` also lists
 * optional peers that are there for other reasons.
 */
function productionModules() {
  const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'))
  const found = new Set()
  const add = (from) => {
    for (const name of Object.keys(packages[from].dependencies ?? {})) {
      const folder = resolve(from, name)
      if (found.has(folder)) continue
      found.add(folder)
      add(folder)
    }
  }
  // As Node.js looks for it: beside the module that needs it, then further up.
  const resolve = (from, name) => {
    const folder = path.join(from, 'node_modules', name)
    if (folder in packages) return folder
    return resolve(from.slice(0, Math.max(0, from.lastIndexOf('node_modules') - 1)), name)
  }
  add('')
  return [...found]
}

function check() {
  const ran = (...args) => {
    const result = spawnSync(path.join(out, 'run'), args, { env: {}, encoding: 'utf8' })
    process.stdout.write(result.stdout)
    process.stderr.write(result.stderr)
    const isWithoutGpu = result.status === 1 && result.stderr.startsWith('bench embed: no GPU')
    if (result.status !== 0 && !isWithoutGpu)
      fail(`./run ${args.join(' ')} ended with ${result.status ?? result.signal}`)
    return result.stdout
  }
  if (!/ℹ pass \d|ℹ skipped \d/.test(ran())) fail('the bundle ran no test')
  ran('doctor')
  ran('bench')
  ran('variants', '--help')
  if (values.bench) ran('bench', 'embed', '--device', 'cuda', '--seconds', '1')
}

function run(command, args, environment) {
  const { status, error } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, ...environment },
  })
  if (status !== 0) fail(`${command} failed: ${error?.message ?? `exit ${status}`}`)
}

function fail(message) {
  console.error(`gpu-bundle: ${message}`)
  process.exit(1)
}
