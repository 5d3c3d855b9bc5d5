// Proves what docs/packaging.md promises of every ELF file in prebuilds/, from the files themselves.
//
//   node scripts/check-binary.mjs [--arch x64|arm64]     (default: every folder in prebuilds/)
//
// Prints one line per file. Where a promise is broken, prints each one that is and exits with 1.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { architectures } from './prebuild/toolchain.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

// The newest symbol versions of Debian 10 and RHEL 8, the oldest systems that Node.js's own binaries run on.
export const ceilings = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11', GCC: '8.0.0' }
const glibcLibraries = ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1']
const loaders = ['ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1']
const addonSymbols = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']
// Node.js's own binary needs these two as well, so every system has them.
const onnxRuntimeLibraries = ['libstdc++.so.6', 'libgcc_s.so.1']

/** @returns what is wrong with one ELF file, and a line about it. `siblings` are the SONAMEs in its folder. */
export function checkFile(file, { arch, siblings }) {
  const name = path.basename(file)
  const elf = readElf(file)
  const isOurs = name !== 'libonnxruntime.so.1' // built by Microsoft
  const problems = []
  const must = (condition, says) => condition || problems.push(`${name}: ${says}`)

  must(elf.machine === architectures[arch].elf, `is for ${elf.machine}, not ${architectures[arch].elf}`)
  for (const [family, newest] of Object.entries(elf.versions)) {
    const ceiling = ceilings[family]
    if (ceiling)
      must(compare(newest, ceiling) <= 0, `needs ${family}_${newest}; the newest allowed is ${ceiling}`)
  }
  const allowed = [...glibcLibraries, ...loaders, ...siblings, ...(isOurs ? [] : onnxRuntimeLibraries)]
  const foreign = elf.needed.filter((library) => !allowed.includes(library))
  must(foreign.length === 0, `needs ${foreign.join(', ')}, which not every system has`)
  must(
    elf.runpath === '$ORIGIN' || elf.needed.every((library) => !siblings.includes(library)),
    `has the run path "${elf.runpath}", not $ORIGIN`,
  )
  must(elf.rpath === undefined, `has an RPATH (${elf.rpath}), which wins over the user's LD_LIBRARY_PATH`)
  must(elf.stack === 'RW', `asks for an executable stack (GNU_STACK ${elf.stack ?? 'is missing'})`)
  must(!elf.textRelocations, 'has relocations in its code')
  if (isOurs) {
    must(!elf.symbolTable, 'is not stripped')
    problems.push(...hardening(file, elf))
  }
  if (name === 'cosmos-embed-decoder')
    must((statSync(file).mode & 0o111) === 0o111, 'is not executable by everyone')
  if (name.endsWith('.node')) {
    const exported = elf.exported.map(({ symbol }) => symbol).sort()
    must(
      exported.join() === addonSymbols.join(),
      `exports ${exported.join(', ')}; expected ${addonSymbols.join(', ')}`,
    )
  }
  if (/-cosmos\.so/.test(name)) {
    const unmarked = elf.exported
      .filter(({ version }) => !version?.startsWith('COSMOS_'))
      .map(({ symbol }) => symbol)
    must(unmarked.length === 0, `exports ${unmarked.slice(0, 5).join(', ')} without a version of ours`)
    must(elf.soname === name, `calls itself ${elf.soname}`)
  }
  const needs = Object.entries(elf.versions).map(([family, version]) => `${family}_${version}`)
  const size = `${(statSync(file).size / 1e6).toFixed(2)} MB`
  return {
    problems,
    line: `${name.padEnd(26)} ${size.padStart(9)}  needs at most ${needs.join(' ')}; ${elf.exported.length} symbols`,
  }
}

// The instruction at the start of every function that may be the target of an indirect jump.
const landings = {
  [architectures.x64.elf]: Buffer.from('f30f1efa', 'hex'), // endbr64
  [architectures.arm64.elf]: Buffer.from('3f2303d5', 'hex'), // paciasp
}

/** @returns what a file that we compiled lacks of the hardening that any capable compiler can give it. */
export function hardening(file, elf = readElf(file)) {
  const problems = []
  const must = (condition, says) => condition || problems.push(`${path.basename(file)}: ${says}`)
  must(elf.relro && elf.bindNow, `has ${elf.relro ? 'partial' : 'no'} RELRO`)
  must(elf.imported.includes('__stack_chk_fail'), 'is built without the stack protector')
  // The addon makes no call that _FORTIFY_SOURCE could check.
  must(
    !/^libav/.test(path.basename(file)) || elf.imported.some((symbol) => /^__\w+_chk$/.test(symbol)),
    'is built without _FORTIFY_SOURCE: no call of it checks a length',
  )
  const landing = landings[elf.machine]
  const bytes = readFileSync(file)
  let found = 0
  for (let at = bytes.indexOf(landing); at >= 0; at = bytes.indexOf(landing, at + 4)) found += 1
  // At least one for each exported function. The addon exports almost none and still has many.
  const least = elf.exported.length === 0 || file.endsWith('.node') ? 20 : Math.min(20, elf.exported.length)
  must(found >= least, `has ${found} places that a jump may land on: it is built without branch protection`)
  return problems
}

/**
 * @returns the problems of one prebuilds/linux-<arch>
 * @param {string} folder
 * @param {{ say?: (line: string) => void }} [options]
 */
export function checkFolder(folder, { say = () => {} } = {}) {
  const arch = path.basename(folder).replace('linux-', '')
  const files = readdirSync(folder).filter((file) => !file.endsWith('.json'))
  const build = JSON.parse(readFileSync(path.join(folder, 'build.json'), 'utf8'))
  const problems = []
  const recorded = Object.keys(build.files).length
  if (recorded !== files.length)
    problems.push(`${folder}: holds ${files.length} files, build.json names ${recorded}`)
  for (const file of files.sort()) {
    const full = path.join(folder, file)
    const checked = checkFile(full, { arch, siblings: files })
    const known = build.files[file.replace('.glibc.node', '.node')]
    const hash = createHash('sha256').update(readFileSync(full)).digest('hex')
    if (hash !== known) checked.problems.push(`${file}: its sha256 ${hash} is not the ${known} of build.json`)
    problems.push(...checked.problems)
    say(checked.line)
  }
  return problems
}

/** Parses the output of readelf. */
function readElf(file) {
  const readelf = (...options) => {
    const result = spawnSync('readelf', ['-W', ...options, file], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      env: { ...process.env, LC_ALL: 'C' },
    })
    if (result.status !== 0) throw new Error(`readelf ${file}: ${result.error?.message ?? result.stderr}`)
    return result.stdout
  }
  const dynamic = readelf('-d')
  const segments = readelf('-l')
  const dynamicEntry = (tag) => new RegExp(`\\(${tag}\\).*\\[(.*)\\]`).exec(dynamic)?.[1]
  const symbols = readelf('--dyn-syms')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
  const versions = {}
  const needs = readelf('-V').split(/Version needs section/)[1] ?? ''
  for (const [, family, version] of needs.matchAll(/Name: ([A-Z]+)_([\d.]+)/g)) {
    if (!versions[family] || compare(version, versions[family]) > 0) versions[family] = version
  }
  return {
    machine: /Machine:\s+(.*)/.exec(readelf('-h'))?.[1].trim(),
    needed: [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library]) => library),
    soname: dynamicEntry('SONAME'),
    runpath: dynamicEntry('RUNPATH'),
    rpath: dynamicEntry('RPATH'),
    bindNow: /\(BIND_NOW\)|BIND_NOW|\bNOW\b/.test(dynamic),
    textRelocations: /\(TEXTREL\)/.test(dynamic),
    relro: /GNU_RELRO/.test(segments),
    stack: /GNU_STACK(?:\s+0x[0-9a-f]+){5}\s+([RWE]+)\s/.exec(segments)?.[1],
    symbolTable: /\.symtab/.test(readelf('-S')),
    versions,
    imported: symbols
      .filter((columns) => columns[6] === 'UND' && columns[7])
      .map((columns) => columns[7].split('@')[0]),
    exported: symbols
      .filter(
        ([, , , type, bind, visibility, section]) =>
          /FUNC|OBJECT/.test(type ?? '') && bind !== 'LOCAL' && visibility === 'DEFAULT' && section !== 'UND',
      )
      .map((columns) => {
        const [symbol, version] = columns[7].split(/@+/)
        return { symbol, version }
      }),
  }
}

/** Compares dotted version numbers: negative where `a` is older. */
export function compare(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number))
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function main() {
  const { values } = parseArgs({ options: { arch: { type: 'string' } } })
  const prebuilds = path.join(root, 'prebuilds')
  const folders = values.arch
    ? [`linux-${values.arch}`]
    : existsSync(prebuilds)
      ? readdirSync(prebuilds).filter((name) => name.startsWith('linux-'))
      : []
  if (folders.length === 0) {
    console.error('check-binary: there is no prebuilds/; make it with "npm run prebuild"')
    process.exit(1)
  }
  let broken = 0
  for (const folder of folders) {
    console.log(folder)
    for (const problem of checkFolder(path.join(prebuilds, folder), {
      say: (line) => console.log(`  ${line}`),
    })) {
      console.error(`check-binary: ${problem}`)
      broken += 1
    }
  }
  process.exit(broken === 0 ? 0 : 1)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
