// Format, lint, file length. `npm run lint`; with --tidy clang-tidy too, which takes minutes.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const tracked = output('git', ['ls-files', '--cached', '--others', '--exclude-standard'])
  .split('\n')
  .filter((file) => file !== '' && existsSync(path.join(root, file)))
const native = tracked.filter((file) => /^native\/.*\.(cc|h)$/.test(file))

let failures = 0
check('biome', 'node_modules/.bin/biome', ['check', '--error-on-warnings'])
const formatted = tracked.filter((file) => /^(native|test\/fakes)\/.*\.(cc|h|cu)$/.test(file))
check('clang-format', 'clang-format', ['--dry-run', '--Werror', ...formatted])
checkFileLength()
if (process.argv.includes('--tidy')) checkTidy()
process.exit(failures === 0 ? 0 : 1)

// A file that passes 400 lines is asking to be two.
function checkFileLength() {
  const code = tracked.filter((file) => /\.(ts|js|mjs|cc|h|cu|py)$/.test(file))
  const long = code
    .map((file) => ({ file, lines: readFileSync(path.join(root, file), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > 400)
  for (const { file, lines } of long) console.error(`${file}: ${lines} lines, the limit is 400`)
  report('file length', long.length === 0)
}

function checkTidy() {
  // The two products see different files: the addon has napi/, the tests have test/.
  const database = path.join(root, 'build', 'compile_commands.json')
  const compiled = new Set(
    JSON.parse(readFileSync(database, 'utf8')).map(({ file }) => path.relative(root, file)),
  )
  // The database has GCC's flags.
  const otherCompilers = '--extra-arg=-Wno-unknown-warning-option'
  const sources = native.filter((file) => compiled.has(file))
  const result = spawnSync(
    'xargs',
    ['-P', '2', '-n', '1', 'clang-tidy', '-p', 'build', '--quiet', '--warnings-as-errors=*', otherCompilers],
    { cwd: root, input: sources.join('\n'), encoding: 'utf8', maxBuffer: 1 << 28 },
  )
  if (result.status !== 0) process.stderr.write(result.stdout)
  report(`clang-tidy (${sources.length} files)`, result.status === 0)
}

function check(name, command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  report(name, result.status === 0)
}

function report(name, passed) {
  if (!passed) failures += 1
  console.error(`${passed ? 'ok  ' : 'FAIL'} ${name}`)
}

function output(command, args) {
  return spawnSync(command, args, { cwd: root, encoding: 'utf8' }).stdout
}
