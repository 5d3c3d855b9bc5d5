// Opens NVIDIA's lean runtimes of both majors, which it downloads from PyPI into .cache, with the addon's code on a machine
// without a GPU: it reads their versions, receives their log lines, and ends in one typed error. Prints the reason and
// exits with 0 where they cannot be downloaded.
//
//   node scripts/check-tensorrt-real.mjs

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const packages = [
  { name: 'tensorrt-lean-cu12-libs', version: '10.16.1.11', major: 10 },
  { name: 'tensorrt-lean-cu13-libs', version: '11.4.0.106', major: 11 },
]

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = path.join(root, '.cache', 'tensorrt-real')

const libraries = packages.map(fetchLibrary)
await probe()
const result = spawnSync(
  process.execPath,
  [path.join(root, 'scripts', 'native-test.mjs'), '--gtest_filter=TensorRtReal.*', '--gtest_brief=0'],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      COSMOS_REAL_TENSORRT: libraries.join(':'),
      // The libraries never free some of their memory.
      ASAN_OPTIONS: 'detect_leaks=0',
    },
  },
)
process.exit(result.status ?? 1)

/** Downloads the package unless that is done. @returns the path of its library */
function fetchLibrary({ name, version, major }) {
  const folder = path.join(cache, `${name}-${version}`)
  const library = path.join(folder, 'tensorrt_lean_libs', `libnvinfer_lean.so.${major}`)
  if (existsSync(library)) return library
  const download = `${folder}.download`
  mkdirSync(download, { recursive: true })
  runPython(
    '-m',
    'pip',
    'download',
    '--quiet',
    '--no-deps',
    '--only-binary=:all:',
    '-d',
    download,
    `${name}==${version}`,
  )
  const wheel = readdirSync(download).find((file) => file.endsWith('.whl'))
  runPython('-m', 'zipfile', '-e', path.join(download, wheel), path.join(download, 'files'))
  rmSync(folder, { recursive: true, force: true })
  renameSync(path.join(download, 'files'), folder)
  rmSync(download, { recursive: true })
  return library
}

function runPython(...args) {
  const ran = spawnSync('python3', args, { encoding: 'utf8' })
  if (ran.status === 0) return
  const reason = ran.error?.message ?? ran.stderr.trim().split('\n').at(-1)
  console.log(`skipped: ${args.at(-1)} cannot be had: ${reason}`)
  process.exit(0)
}

/** Opens them through the addon too, where it has been built. */
async function probe() {
  if (
    !existsSync(path.join(root, 'build', 'Release', 'cosmos-embed.node')) &&
    !process.env.COSMOS_EMBED_ADDON
  ) {
    console.log('addon: not built here (scripts/setup.mjs builds it); its code runs in the native tests')
    return
  }
  const { default: binding } = await import('../lib/binding.js')
  for (const library of libraries) {
    try {
      const { version, lean } = await binding.probeTensorRt(library).promise
      console.log(`addon: ${version}${lean ? ' (lean)' : ''} at ${path.relative(root, library)}`)
    } catch (error) {
      console.error(`addon: ${error.message}`)
      process.exit(1)
    }
  }
}
