// Format, lint, file length. `npm run lint`; with --tidy clang-tidy too, which takes minutes.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

// What clang-tidy takes most of its time for is the headers of the standard library, so files of one folder are checked
// as one: a file that includes them.
function checkTidy() {
  const batches = tidyBatches()
  const folder = path.join(root, '.cache', 'tidy')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const database = batches.map(({ compiler, directory, files }, index) => {
    const file = path.join(folder, `${index}.cc`)
    writeFileSync(file, files.map((each) => `#include "${each}"\n`).join(''))
    return { directory, file, command: `${compiler} -c ${file}` }
  })
  writeFileSync(path.join(folder, 'compile_commands.json'), JSON.stringify(database))
  const options = [
    ...['-p', folder, '--quiet', '--warnings-as-errors=*', '--checks=-bugprone-suspicious-include'],
    '--extra-arg=-Wno-unknown-warning-option', // the database has GCC's flags
  ]
  const result = spawnSync('xargs', ['-P', '2', '-n', '1', 'clang-tidy', ...options], {
    cwd: root,
    input: database.map(({ file }) => file).join('\n'),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (result.status !== 0) process.stderr.write(result.stdout)
  const count = batches.reduce((sum, { files }) => sum + files.length, 0)
  report(`clang-tidy (${count} files)`, result.status === 0)
}

// At most eight files of one folder that are compiled alike. The largest come first, so that the last is short.
function tidyBatches() {
  const most = 8
  const batches = []
  const database = JSON.parse(readFileSync(path.join(root, 'build', 'compile_commands.json'), 'utf8'))
  for (const { directory, command, file } of database) {
    if (!native.includes(path.relative(root, file))) continue
    const compiler = command.slice(0, command.indexOf(' -o ')).replace(/^\S*\/ccache /, '')
    const key = `${path.dirname(file)} ${compiler}`
    const open = batches.findLast((each) => each.key === key)
    if (open && open.files.length < most) open.files.push(file)
    else batches.push({ key, compiler, directory, files: [file] })
  }
  return batches.sort((a, b) => b.files.length - a.files.length)
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
