// Builds and runs the targets in native/fuzz/targets: with libFuzzer where Clang has it, else as programs that mutate blindly.

import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { filesIn, seedsOf } from './seeds.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cache = path.join(root, '.cache', 'fuzz')

/** Longer inputs find nothing that shorter ones do not, and take longer. */
const longestInput = 40_000
/** Seconds of one input, and MiB of the process. Both are far above what an input takes. */
const longestRun = 120
const mostMemory = 3000

export function nativeTargets() {
  return readdirSync(path.join(root, 'native', 'fuzz', 'targets'))
    .filter((name) => name.endsWith('.cc'))
    .map((name) => name.slice(0, -'.cc'.length))
    .sort()
}

/**
 * Builds all targets under AddressSanitizer and UBSan.
 *
 * @returns {{ folder: string, guided: boolean }} where the programs are, and whether they have libFuzzer
 */
export function buildNative() {
  const clang = clangWithLibFuzzer()
  if (clang === undefined) {
    console.error(
      'There is no Clang with libFuzzer, which finds inputs by the code that they reach. Install it:\n' +
        '  sudo apt-get install -y clang libclang-rt-14-dev    (14 on Debian 12; `clang --version` tells the number)\n' +
        'Without it, g++ builds the targets, and the inputs are mutated blindly.',
    )
  }
  const folder = path.join(root, clang ? 'build-fuzz' : 'build-fuzz-blind')
  const compiler = clang ? [`-DCMAKE_CXX_COMPILER=${clang}`] : []
  console.error(`building the targets in ${path.relative(root, folder)}`)
  run('cmake', [
    ...['-S', root, '-B', folder, '-DCOSMOS_FUZZ=ON', '-DCOSMOS_SANITIZE=address,undefined', '-Wno-dev'],
    ...['-DCMAKE_BUILD_TYPE=RelWithDebInfo', '-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1', ...compiler],
  ])
  const programs = ['fuzz_seeds', ...nativeTargets().map((name) => `fuzz_${name}`)]
  run('cmake', ['--build', folder, '--parallel', '2', '--target', ...programs])
  return { folder, guided: clang !== undefined }
}

function clangWithLibFuzzer() {
  const probe = path.join(cache, 'probe')
  mkdirSync(cache, { recursive: true })
  writeFileSync(
    `${probe}.cc`,
    'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n',
  )
  const versions = Array.from({ length: 12 }, (_, i) => `clang++-${25 - i}`)
  return ['clang++', ...versions].find(
    (name) =>
      spawnSync(name, ['-fsanitize=fuzzer,address,undefined', `${probe}.cc`, '-o', probe]).status === 0,
  )
}

/**
 * Runs one target in one process, at the lowest priority.
 *
 * @returns {Promise<object>} its row in the table of results
 */
export async function fuzzNative(name, { folder, guided }, { seconds, seed }) {
  const seeds = await seedsOf(name, folder)
  const corpus = path.join(cache, 'corpus', name)
  const findings = path.join(cache, 'findings', name)
  for (const each of [corpus, findings]) mkdirSync(each, { recursive: true })
  const program = path.join(folder, `fuzz_${name}`)
  // libFuzzer looks for leaks after single inputs, which takes longer than the input. The corpus is checked at the end.
  const limits = [`-max_len=${longestInput}`, `-timeout=${longestRun}`, `-rss_limit_mb=${mostMemory}`]
  const fuzzing = guided
    ? [
        ...[
          `-max_total_time=${seconds}`,
          `-seed=${seed}`,
          '-print_final_stats=1',
          '-detect_leaks=0',
          ...limits,
        ],
        ...[`-artifact_prefix=${findings}/`, corpus, seeds],
      ]
    : ['--seconds', String(seconds), '--seed', String(seed), ...filesIn(seeds)]
  const fuzzed = await runProgram(program, fuzzing, findings)
  if (fuzzed.code !== 0 || !guided) return result(name, fuzzed, findings)
  const leaks = await runProgram(program, ['-runs=0', '-detect_leaks=1', ...limits, corpus, seeds], findings)
  return result(name, leaks.code === 0 ? fuzzed : { ...leaks, said: fuzzed.said + leaks.said }, findings)
}

/** Runs a target over files, for a finding. */
export async function replayNative(name, { folder }, files) {
  const { code } = await runProgram(
    path.join(folder, `fuzz_${name}`),
    files.map((file) => path.resolve(file)),
  )
  return code
}

function runProgram(program, args, cwd = root) {
  return new Promise((resolve, reject) => {
    const child = spawn('nice', ['-n', '19', program, ...args], { cwd, stdio: ['ignore', 'inherit', 'pipe'] })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said = (said + chunk).slice(-200_000)
      if (/ERROR|SUMMARY|runtime error|broken promise|pulse/.test(String(chunk))) process.stderr.write(chunk)
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code: code ?? signal, said }))
  })
}

function result(name, { code, said }, findings) {
  writeFileSync(path.join(cache, `${name}.log`), said)
  const number = (pattern) => Number([...said.matchAll(pattern)].at(-1)?.[1] ?? Number.NaN)
  return {
    target: name,
    executions: number(/stat::number_of_executed_units: (\d+)/g),
    'edges reached': number(/cov: (\d+)/g),
    features: number(/ft: (\d+)/g),
    'peak MiB': number(/stat::peak_rss_mb:\s+(\d+)/g),
    'slowest s': number(/stat::slowest_unit_time_sec: (\d+)/g),
    findings:
      code === 0 ? 'none' : `${code}: see ${path.relative(root, findings)} and .cache/fuzz/${name}.log`,
  }
}

function run(command, args) {
  const done = spawnSync(command, args, { cwd: root, stdio: 'pipe' })
  if (done.status === 0) return
  process.stderr.write(Buffer.concat([done.stdout ?? Buffer.alloc(0), done.stderr ?? Buffer.alloc(0)]))
  throw new Error(`${command} failed (${done.error?.message ?? `exit ${done.status}`})`)
}
