// Checks the sources without running them.
//
//   node scripts/lint.mjs          formats, Biome's rules, layers, file length, tables of measurements
//   node scripts/lint.mjs --tidy   and clang-tidy, which takes minutes
//   node scripts/lint.mjs --fix    formats the same files instead of complaining

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { documentProblems } from './bench/document.mjs'
import {
  circles,
  cppGraph,
  headerProblems,
  layerProblems,
  portableProblems,
  typescriptGraph,
} from './lint/imports.mjs'
import * as layers from './lint/layers.mjs'
import { checkPython } from './lint/python.mjs'
import { checkTidy } from './lint/tidy.mjs'

const longest = 400
const root = fileURLToPath(new URL('..', import.meta.url))
const fix = process.argv.includes('--fix')
const tracked = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .stdout.toString()
  .split('\n')
  .filter((file) => file !== '' && existsSync(path.join(root, file)))
const matching = (pattern) => tracked.filter((file) => pattern.test(file))
const cpp = matching(/\.(cc|h|cu)$/)

let failures = 0
run('biome', 'node_modules/.bin/biome', ['check', ...(fix ? ['--write'] : []), '--error-on-warnings'])
run('clang-format', 'clang-format', fix ? ['-i', ...cpp] : ['--dry-run', '--Werror', ...cpp])
report('ruff', checkPython(root, matching(/\.py$/), { fix }))
report('layers', layerFindings())
report('file length', longFiles())
report('types of scripts', uncheckedScripts())
report('docs/performance.md', documentProblems(root))
if (process.argv.includes('--tidy')) {
  const { count, failed } = await checkTidy(root, matching(/^native\/.*\.cc$/))
  report(`clang-tidy (${count} files)`, failed === 0 ? [] : [`${failed} files have problems`])
}
process.exit(failures === 0 ? 0 : 1)

function layerFindings() {
  const below = (folder, pattern) => matching(pattern).map((file) => file.slice(folder.length + 1))
  const src = typescriptGraph(path.join(root, 'src'), below('src', /^src\/.*\.ts$/))
  const native = cppGraph(path.join(root, 'native'), below('native', /^native\/(?!test\/).*\.(cc|h|cu)$/))
  return [
    ...[
      ...layerProblems(src, layers.typescript),
      ...circles(src),
      ...portableProblems(src, layers.portable),
    ].map((problem) => `src/${problem}`),
    ...[
      ...layerProblems(native, layers.cpp),
      ...circles(native),
      ...headerProblems(native, layers.headers),
    ].map((problem) => `native/${problem}`),
  ]
}

function longFiles() {
  return matching(/\.(ts|js|mjs|cc|h|cu|py)$/)
    .map((file) => ({ file, lines: readFileSync(path.join(root, file), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > longest)
    .map(({ file, lines }) => `${file}: ${lines} lines, the limit is ${longest}; split it by what it does`)
}

/** Beside its types, TypeScript passes over a script, unless it is named. */
function uncheckedScripts() {
  const { files } = JSON.parse(readFileSync(path.join(root, 'scripts', 'tsconfig.json'), 'utf8'))
  return matching(/^scripts\/.*\.d\.mts$/)
    .map((file) => file.slice('scripts/'.length).replace('.d.mts', '.mjs'))
    .filter((script) => !files.includes(script))
    .map((script) => `scripts/tsconfig.json: "files" lacks ${script}`)
}

function run(name, command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  report(name, status === 0 ? [] : [error?.message ?? `${command} found problems`])
}

function report(name, problems) {
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) failures += 1
  console.error(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}`)
}
