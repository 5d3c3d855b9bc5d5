// Builds native code under AddressSanitizer and UBSan and tests it.
//
//   node scripts/native-test.mjs [--no-sanitize] [GoogleTest flags …]   the native tests: no Node inside
//   node scripts/native-test.mjs --addon [files …]                      the addon inside Node: test/native

import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const modes = ['--no-sanitize', '--addon']
const args = process.argv.slice(2)
const rest = args.filter((arg) => !modes.includes(arg))
const addon = args.includes('--addon')
const sanitize = addon || !args.includes('--no-sanitize')
const build = path.join(root, sanitize ? 'build-sanitize' : 'build-native')
const report = (name) => path.join(root, '.cache', name)

run('cmake', [
  ...['-S', root, '-B', build, '-DCOSMOS_TESTS=ON', '-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
  `-DCOSMOS_SANITIZE=${sanitize ? 'address,undefined' : ''}`,
  ...(addon ? [`-DCMAKE_JS_INC=${createRequire(import.meta.url)('node-api-headers').include_dir}`] : []),
  '-Wno-dev',
])
run('cmake', ['--build', build, '--parallel', '2', ...(addon ? ['--target', 'addon'] : [])])

mkdirSync(path.join(root, '.cache'), { recursive: true })
if (addon) {
  process.env.COSMOS_EMBED_ADDON = path.join(build, 'cosmos-embed.node')
  // Node comes without the sanitizer, so it must be there first. Node keeps memory to its end: test/native/lifetime.test.ts
  // measures what the addon leaves.
  process.env.LD_PRELOAD = read('g++', ['-print-file-name=libasan.so'])
  process.env.ASAN_OPTIONS = 'detect_leaks=0'
  run(path.join(root, 'node_modules', '.bin', 'vitest'), [
    ...['run', '--project', 'main', '--reporter=default', '--reporter=json'],
    `--outputFile.json=${report('asan-tests.json')}`,
    ...(rest.length > 0 ? rest : ['test/native']),
  ])
} else {
  process.env.SVT_LOG ??= '1' // the AV1 encoder that makes clips says errors only
  // ONNX Runtime keeps a few bytes that it never frees.
  process.env.LSAN_OPTIONS ??= `suppressions=${path.join(root, 'test', 'native', 'lsan.supp')}:print_suppressions=0`
  for (const name of readdirSync(report('.'))) {
    if (name.startsWith('native-tests')) rmSync(report(name))
  }
  // Named tests are for somebody who watches; all of them share the cores, and are counted.
  const shards = rest.length > 0 ? 1 : Math.min(availableParallelism(), 4)
  const failures = await Promise.all(Array.from({ length: shards }, (_, index) => runShard(index, shards)))
  if (failures.some((how) => how !== '')) {
    console.error(`native tests: ${failures.filter(Boolean).join(', ')}`)
    process.exit(1)
  }
}

/** @returns how it failed, or "". */
function runShard(index, shards) {
  const child = spawn(
    path.join(build, 'cosmos_tests'),
    [
      '--gtest_brief=1',
      ...(rest.length > 0 ? [] : [`--gtest_output=json:${report(`native-tests-${index}.json`)}`]),
      ...rest,
    ],
    {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, GTEST_TOTAL_SHARDS: `${shards}`, GTEST_SHARD_INDEX: `${index}` },
    },
  )
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => resolve(code === 0 ? '' : (signal ?? `exit ${code}`)))
  })
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
