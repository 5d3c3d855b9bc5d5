// Builds the native code with sanitizers, and runs its tests: AddressSanitizer and UBSan, or ThreadSanitizer.
//
//   node scripts/native-test.mjs [--no-sanitize] [GoogleTest flags …]   the GoogleTest program, without Node
//   node scripts/native-test.mjs --thread [GoogleTest flags …]          the same under ThreadSanitizer
//   node scripts/native-test.mjs --build-only                           builds it and does not run it
//   node scripts/native-test.mjs --addon [files …]                      the addon in Node: test/native

import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { jobs } from './jobs.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const modes = ['--no-sanitize', '--thread', '--addon', '--build-only']
const args = process.argv.slice(2)
const rest = args.filter((arg) => !modes.includes(arg))
const addon = args.includes('--addon')
const [folder, sanitizers] = args.includes('--thread')
  ? ['build-thread', 'thread']
  : args.includes('--no-sanitize') && !addon
    ? ['build-native', '']
    : ['build-sanitize', 'address,undefined']
const build = path.join(root, folder)
const report = (name) => path.join(root, '.cache', name)

run('cmake', [
  ...['-S', root, '-B', build, '-DCOSMOS_TESTS=ON', '-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
  // The fuzz targets are only built here, so that they keep building. scripts/fuzz.mjs runs them.
  '-DCOSMOS_FUZZ=ON',
  `-DCOSMOS_SANITIZE=${sanitizers}`,
  // GCC takes three times as long for instrumented code at -O2.
  ...(sanitizers ? ['-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1'] : []),
  ...(addon ? [`-DCMAKE_JS_INC=${createRequire(import.meta.url)('node-api-headers').include_dir}`] : []),
  '-Wno-dev',
])
run('cmake', [
  '--build',
  build,
  '--parallel',
  String(jobs),
  ...(addon ? ['--target', 'addon', 'decoder'] : []),
])
if (args.includes('--build-only')) process.exit()

mkdirSync(path.join(root, '.cache'), { recursive: true })
if (addon) {
  process.env.COSMOS_EMBED_ADDON = path.join(build, 'cosmos-embed.node')
  // Node is not built with the sanitizer, so its runtime must be preloaded. Leaks are not looked for, because Node frees
  // little at exit; test/native/lifetime.test.ts measures the addon's own. Node handles SIGSEGV itself, without a word,
  // unless the sanitizer insists on reporting it (handle_segv=2).
  process.env.LD_PRELOAD = read('g++', ['-print-file-name=libasan.so'])
  process.env.ASAN_OPTIONS = 'detect_leaks=0:handle_segv=2'
  run(path.join(root, 'node_modules', '.bin', 'vitest'), [
    ...['run', '--project', 'main', '--reporter=default', '--reporter=json'],
    `--outputFile.json=${report('asan-tests.json')}`,
    ...(rest.length > 0 ? rest : ['test/native']),
  ])
} else {
  process.env.SVT_LOG ??= '1' // the AV1 encoder that makes test clips logs errors only
  // ONNX Runtime keeps a few bytes that it never frees.
  process.env.LSAN_OPTIONS ??= `suppressions=${path.join(root, 'test', 'native', 'lsan.supp')}:print_suppressions=0`
  // FFmpeg is not instrumented: what its calls of the C library read and write cannot be judged. Some tests fork.
  process.env.TSAN_OPTIONS ??= 'ignore_noninstrumented_modules=1:die_after_fork=0'
  // A whole run uses a process per group and writes reports. A run with GoogleTest flags is for a person: it uses one
  // process, and leaves the reports of the last whole run.
  const stale =
    rest.length > 0 ? [] : readdirSync(report('.')).filter((name) => name.startsWith('native-tests'))
  for (const name of stale) rmSync(report(name))
  const groups = rest.length > 0 ? [{ flags: [], env: {} }] : groupsOfTests()
  const failures = await Promise.all(groups.map((group, index) => runTests(group, index)))
  if (failures.some((how) => how !== '')) {
    console.error(`native tests: ${failures.filter(Boolean).join(', ')}`)
    process.exit(1)
  }
}

/**
 * One process per group keeps the cores busy. It also avoids a LeakSanitizer crash that occurs now and then after many test
 * doubles have been opened.
 */
function groupsOfTests() {
  const groups = ['*TensorRt*', '*Cuda*:*Nvdec*:BufferPool*', '*GeneratedClip*:*SharedMedia*']
  const rest = [`--gtest_filter=-${groups.join(':')}`]
  return [
    ...groups.map((filter) => ({ flags: [`--gtest_filter=${filter}`], env: {} })),
    // What is left takes as long as all of the others.
    ...[0, 1].map((index) => ({
      flags: rest,
      env: { GTEST_TOTAL_SHARDS: '2', GTEST_SHARD_INDEX: `${index}` },
    })),
  ]
}

/** @returns why it failed, or "" */
function runTests({ flags, env }, index) {
  const file = report(`native-tests-${index}.json`)
  const child = spawn(
    path.join(build, 'cosmos_tests'),
    ['--gtest_brief=1', ...flags, ...(rest.length > 0 ? rest : [`--gtest_output=json:${file}`])],
    { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'pipe'] },
  )
  let tail = ''
  child.stderr.on('data', (chunk) => {
    tail = (tail + chunk).slice(-4000)
    process.stderr.write(chunk)
  })
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => {
      if (code === 0) return resolve('')
      if (rest.length === 0 && tail.includes('LeakSanitizer has encountered a fatal error') && passed(file)) {
        console.error(
          'native tests: they passed, but LeakSanitizer itself crashed afterwards, so leaks were not checked',
        )
        return resolve('')
      }
      resolve(signal ?? `exit ${code}`)
    })
  })
}

function passed(file) {
  try {
    const { tests, failures } = JSON.parse(readFileSync(file, 'utf8'))
    return tests > 0 && failures === 0
  } catch {
    return false
  }
}

function run(command, commandArgs) {
  const quiet = command === 'cmake'
  const result = spawnSync(command, commandArgs, { cwd: root, stdio: quiet ? 'pipe' : 'inherit' })
  if (result.status === 0) return
  if (quiet) process.stderr.write(Buffer.concat([result.stdout, result.stderr]))
  const how = result.error?.message ?? (result.signal ? `signal ${result.signal}` : `exit ${result.status}`)
  console.error(`native tests: ${command} failed (${how})`)
  process.exit(1)
}

function read(command, commandArgs) {
  return spawnSync(command, commandArgs, { encoding: 'utf8' }).stdout.trim()
}
