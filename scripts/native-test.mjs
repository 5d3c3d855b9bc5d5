// Builds the native tests under AddressSanitizer and UBSan and runs them. No Node inside.
//
//   node scripts/native-test.mjs [--no-sanitize] [GoogleTest flags …]

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const args = process.argv.slice(2)
const sanitize = !args.includes('--no-sanitize')
const build = path.join(root, sanitize ? 'build-sanitize' : 'build-native')

run('cmake', [
  ...['-S', root, '-B', build, '-DCOSMOS_TESTS=ON', '-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
  `-DCOSMOS_SANITIZE=${sanitize ? 'address,undefined' : ''}`,
  '-Wno-dev',
])
run('cmake', ['--build', build, '--parallel', '2'])

mkdirSync(path.join(root, '.cache'), { recursive: true })
// ONNX Runtime keeps a few bytes that it never frees.
process.env.LSAN_OPTIONS ??= `suppressions=${path.join(root, 'test', 'native', 'lsan.supp')}:print_suppressions=0`
run(path.join(build, 'cosmos_tests'), [
  '--gtest_brief=1',
  `--gtest_output=json:${path.join(root, '.cache', 'native-tests.json')}`,
  ...args.filter((arg) => arg !== '--no-sanitize'),
])

function run(command, commandArgs) {
  const quiet = command === 'cmake'
  const result = spawnSync(command, commandArgs, { cwd: root, stdio: quiet ? 'pipe' : 'inherit' })
  if (result.status === 0) return
  if (quiet) process.stderr.write(Buffer.concat([result.stdout, result.stderr]))
  const how = result.error?.message ?? (result.signal ? `signal ${result.signal}` : `exit ${result.status}`)
  console.error(`native tests: ${command} failed (${how})`)
  process.exit(1)
}
