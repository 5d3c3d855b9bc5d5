// Format, lint, file length. `npm run lint`; with --tidy clang-tidy too, which takes minutes.

import { spawn, spawnSync } from 'node:child_process'
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
if (process.argv.includes('--tidy')) await checkTidy()
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
// as one: a file that includes them. Two that use a name for different things cannot be; then each is checked by itself.
async function checkTidy() {
  const folder = path.join(root, '.cache', 'tidy')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const waiting = tidyBatches()
  const count = waiting.reduce((sum, { files }) => sum + files.length, 0)
  let failed = 0
  let made = 0
  const work = async () => {
    for (let batch = waiting.shift(); batch; batch = waiting.shift()) {
      const output = await tidy(batch, path.join(folder, `${made++}`))
      if (output === '') continue
      if (batch.files.length > 1) waiting.push(...batch.files.map((file) => ({ ...batch, files: [file] })))
      else {
        failed += 1
        process.stderr.write(output)
      }
    }
  }
  await Promise.all([work(), work()])
  report(`clang-tidy (${count} files)`, failed === 0)
}

/** @returns what is wrong, or "". */
function tidy({ compiler, directory, files }, folder) {
  const file = path.join(folder, 'all.cc')
  mkdirSync(folder)
  writeFileSync(file, files.map((each) => `#include "${each}"\n`).join(''))
  const database = [{ directory, file, command: `${compiler} -c ${file}` }]
  writeFileSync(path.join(folder, 'compile_commands.json'), JSON.stringify(database))
  const child = spawn(
    'clang-tidy',
    [
      ...['-p', folder, '--quiet', '--warnings-as-errors=*', '--checks=-bugprone-suspicious-include'],
      ...['--extra-arg=-Wno-unknown-warning-option', file], // the database has GCC's flags
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] },
  )
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code) => resolve(code === 0 ? '' : output || `clang-tidy ended with ${code}\n`))
  })
}

// At most eight files of one folder that are compiled alike, no neighbours, whose names are alike. The largest come
// first, so that the last is short.
function tidyBatches() {
  const most = 8
  const alike = new Map()
  const database = JSON.parse(readFileSync(path.join(root, 'build', 'compile_commands.json'), 'utf8'))
  for (const { directory, command, file } of database) {
    if (!native.includes(path.relative(root, file))) continue
    const compiler = command.slice(0, command.indexOf(' -o ')).replace(/^\S*\/ccache /, '')
    const key = `${path.dirname(file)} ${compiler}`
    if (!alike.has(key)) alike.set(key, { compiler, directory, files: [] })
    alike.get(key).files.push(file)
  }
  const batches = [...alike.values()].flatMap(({ files, ...how }) => {
    const parts = Math.ceil(files.length / most)
    return Array.from({ length: parts }, (_, part) => ({
      ...how,
      files: files.filter((_, index) => index % parts === part),
    }))
  })
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
