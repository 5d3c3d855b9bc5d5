// Prepares a fresh clone: system packages, npm packages, the native addon, TypeScript. A step is skipped when its inputs have
// not changed. This script uses Node.js alone, because nothing is installed yet.
//
//   node scripts/setup.mjs             what the demo needs
//   node scripts/setup.mjs --test      also what the tests need
//   node scripts/setup.mjs --browser   also the browser that tests the pages
//   node scripts/setup.mjs --queue     also Redis for the tests of the queue; Debian starts it as a service
//   node scripts/setup.mjs --lint      also the linters
//   node scripts/setup.mjs --prebuild  also what `npm run prebuild` needs

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { jobs } from './jobs.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const stampFile = path.join(root, '.cache', 'setup.json')

// Debian package → a test for what it provides, which may have been installed in another way.
const systemPackages = {
  build: {
    'g++': () => answers('g++', ['--version']),
    make: () => answers('make', ['--version']),
    cmake: () => answers('cmake', ['--version']),
    'pkg-config': () => answers('pkg-config', ['--version']),
    'libavformat-dev': () => answers('pkg-config', ['--atleast-version=59.27', 'libavformat']),
    'libavcodec-dev': () => answers('pkg-config', ['--atleast-version=59.37', 'libavcodec']),
    'libswscale-dev': () => answers('pkg-config', ['--atleast-version=6.7', 'libswscale']),
    'libffmpeg-nvenc-dev': () => answers('pkg-config', ['--atleast-version=11.1', 'ffnvcodec']),
    'libavutil-dev': () => answers('pkg-config', ['--atleast-version=57.28', 'libavutil']),
  },
  test: {
    ffmpeg: () => answers('ffmpeg', ['-version']),
    'libgtest-dev': () => existsSync('/usr/include/gtest/gtest.h'),
    openssl: () => answers('openssl', ['version']),
    'python3-numpy': () => answers('/usr/bin/python3', ['-c', 'import numpy']),
  },
  prebuild: {
    binutils: () => answers('readelf', ['--version']),
    bzip2: () => answers('bzip2', ['--help']),
    patch: () => answers('patch', ['--version']),
    'python3-venv': () => answers('python3', ['-c', 'import ensurepip, venv']),
    'xz-utils': () => answers('xz', ['--version']),
  },
  queue: {
    'redis-server': () => answers('redis-server', ['--version']),
  },
  browser: {
    chromium: () => answers('chromium', ['--version']),
  },
  lint: {
    'clang-format': () => answers('clang-format', ['--version']),
    'clang-tidy': () => answers('clang-tidy', ['--version']),
  },
}

class SetupError extends Error {}

const groups = [
  'build',
  ...['test', 'browser', 'queue', 'lint', 'prebuild'].filter((group) => process.argv.includes(`--${group}`)),
]

try {
  checkPlatform()
  installSystemPackages(groups)
  step(
    'npm packages',
    ['package.json', 'package-lock.json', '.npmrc'],
    ['node_modules/.package-lock.json'],
    [
      'npm',
      // onnxruntime-node's install script would download CUDA libraries, which nothing here uses.
      ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    ],
  )
  step(
    'native addon',
    ['package.json', 'CMakeLists.txt', 'native'],
    ['build/Release/cosmos-embed.node', 'build/Release/cosmos-embed-decoder'],
    [
      path.join(root, 'node_modules', '.bin', 'cmake-js'),
      ['build', '--config', 'Release', '--log-level', 'error', '--parallel', String(jobs)],
    ],
  )
  if (groups.includes('test')) {
    const build = path.join(root, 'build-fakes')
    step(
      'test doubles',
      ['test/fakes', 'native/cuda', 'native/image'],
      ['build-fakes/CMakeCache.txt'],
      ['cmake', ['-S', path.join(root, 'test', 'fakes'), '-B', build, '-Wno-dev']],
      ['cmake', ['--build', build, '--parallel', String(jobs)]],
    )
  }
  step(
    'TypeScript',
    ['tsconfig.json', 'package-lock.json', 'lib', 'src'],
    ['dist/index.js'],
    [path.join(root, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.json']],
  )
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(`\nset-up stopped: ${error.message}`)
  process.exit(1)
}

function checkPlatform() {
  if (process.platform !== 'linux') {
    throw new SetupError(`cosmos-embed is built on Linux; this is ${process.platform}.`)
  }
  const [major, minor] = process.versions.node.split('.').map(Number)
  const recentEnough = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
  if (!recentEnough) {
    throw new SetupError(`Node ^20.19 or >=22.12 is needed; found ${process.versions.node}.`)
  }
}

function installSystemPackages(wanted) {
  const missing = wanted.flatMap((group) =>
    Object.entries(systemPackages[group]).flatMap(([name, present]) => (present() ? [] : [name])),
  )
  if (missing.length === 0) return

  const byHand = `install these and run the command again:\n  sudo apt-get install -y ${missing.join(' ')}`
  if (!answers('apt-get', ['--version'])) {
    throw new SetupError(
      `there is no apt-get. Install the equivalents of Debian's ${missing.join(', ')} and run the command again.`,
    )
  }
  const asRoot = process.getuid() === 0 ? [] : answers('sudo', ['-n', 'true']) ? ['sudo', '-n'] : null
  if (asRoot === null) throw new SetupError(byHand)

  say(`system packages: ${missing.join(' ')}`)
  const apt = (...args) =>
    run(...commandLine([...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', ...args]), {
      quiet: true,
    })
  if (apt('update') !== 0 || apt('install', '-y', '--no-install-recommends', ...missing) !== 0) {
    throw new SetupError(`apt-get failed (its output is above). To do it by hand, ${byHand}`)
  }
}

/** Runs the commands unless the outputs exist and the inputs have not changed since the commands last succeeded. */
function step(name, inputs, outputs, ...commands) {
  const fingerprint = createHash('sha256').update(process.version)
  for (const input of inputs) hashInto(fingerprint, path.join(root, input))
  const digest = fingerprint.digest('hex')

  const stamps = readStamps()
  const present = outputs.every((output) => existsSync(path.join(root, output)))
  if (present && stamps[name] === digest) return

  say(name)
  const began = performance.now()
  for (const [command, args] of commands) {
    if (run(command, args, { quiet: true }) === 0) continue
    throw new SetupError(
      `the step "${name}" failed (its output is above). Try it alone:\n  ${command} ${args.join(' ')}`,
    )
  }
  mkdirSync(path.dirname(stampFile), { recursive: true })
  writeFileSync(stampFile, JSON.stringify({ ...readStamps(), [name]: digest }, null, 2))
  say(`${name}: done in ${((performance.now() - began) / 1000).toFixed(1)} s`)
}

function readStamps() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'))
  } catch {
    return {}
  }
}

function hashInto(hash, file) {
  if (!existsSync(file)) return
  if (statSync(file).isDirectory()) {
    for (const entry of readdirSync(file).sort()) hashInto(hash, path.join(file, entry))
    return
  }
  hash.update(path.relative(root, file)).update('\0').update(readFileSync(file))
}

function answers(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** @returns the exit status. With `quiet`, output is shown only when the command fails. */
function run(command, args, { quiet }) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: quiet ? 'pipe' : 'inherit',
    maxBuffer: 1 << 28,
  })
  if (result.error) console.error(String(result.error.message))
  if (quiet && result.status !== 0)
    process.stderr.write(Buffer.concat([result.stdout ?? Buffer.alloc(0), result.stderr ?? Buffer.alloc(0)]))
  return result.status
}

/**
 * @param {string[]} words
 * @returns {[string, string[]]}
 */
function commandLine([command, ...args]) {
  return [command, args]
}

function say(text) {
  console.error(`[set-up] ${text}`)
}
