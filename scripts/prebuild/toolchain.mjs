// The compiler: clang and libc++ of the ziglang package, whose stubs of every glibc let any machine link against an old one.
// Everything is installed in the cache folder.

import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { privateApt } from './private-apt.mjs'
import { PrebuildError, read, run } from './run.mjs'

const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url))
// nv-codec-headers: the headers of NVIDIA's decoder and driver APIs.
const headers = 'libffmpeg-nvenc-dev'
const packages = ['nasm', headers]

// The oldest glibc that Node.js's own binaries run on.
export const glibc = '2.28'

// `landings`: has the processor check that indirect jumps reach only places that the compiler marked.
export const architectures = {
  x64: {
    triple: 'x86_64-linux-gnu',
    processor: 'x86_64',
    elf: 'Advanced Micro Devices X86-64',
    landings: '-fcf-protection=full',
  },
  arm64: {
    triple: 'aarch64-linux-gnu',
    processor: 'aarch64',
    elf: 'AArch64',
    landings: '-mbranch-protection=standard',
  },
}

// Ends the process on memory corruption, before an attacker can use it. CMakeLists.txt sets the same flags for a build from
// a checkout.
const hardening = '-fstack-protector-strong -fstack-clash-protection'
const fortify = '-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2'

/** Installs the tools that are missing. @returns where they are, and their versions */
export function installTools(cache) {
  const pinned = createHash('sha256').update(readFileSync(requirements)).update(packages.join()).digest('hex')
  const folder = path.join(cache, 'tools', pinned.slice(0, 16))
  const complete = path.join(folder, 'complete')
  const python = path.join(folder, 'python', 'bin', 'python')
  const unpacked = path.join(folder, 'packages')
  const nasm = path.join(unpacked, 'usr', 'bin', 'nasm')
  const log = path.join(cache, 'tools.log')

  if (!existsSync(complete)) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    run('python3', ['-m', 'venv', path.join(folder, 'python')], { log })
    run(python, ['-m', 'pip', 'install', '--quiet', '--no-deps', '--require-hashes', '-r', requirements], {
      log,
    })
    writeFileSync(complete, JSON.stringify(unpackPackages(path.join(cache, 'apt-tools'), unpacked, log)))
  }

  const [library] = readdirSync(path.join(folder, 'python', 'lib'))
  const zig = path.join(folder, 'python', 'lib', library, 'site-packages', 'ziglang', 'zig')
  return {
    zig,
    nasm,
    bin: path.join(folder, 'python', 'bin'),
    versions: {
      zig: read(zig, ['version']).trim(),
      nasm: read(nasm, ['-v']).trim().split(' compiled')[0],
    },
    headers: {
      folder: path.join(unpacked, 'usr', 'include'),
      package: headers,
      version: JSON.parse(readFileSync(complete, 'utf8'))[headers],
    },
  }
}

/** Unpacks the distribution's packages without installing them. @returns the version of each package */
function unpackPackages(apt, into, log) {
  const archive = privateApt(apt, { type: 'deb' })
  archive.update()
  const folder = mkdtempSync(path.join(apt, 'debs-'))
  mkdirSync(into, { recursive: true })
  const versions = packages.map((name) => {
    archive.download(name, folder)
    const deb = readdirSync(folder).find((file) => file.startsWith(`${name}_`))
    if (!deb) throw new PrebuildError(`apt-get download ${name} brought nothing`)
    run('dpkg-deb', ['-x', path.join(folder, deb), into], { log })
    return [name, read('dpkg-deb', ['-f', path.join(folder, deb), 'Version']).trim()]
  })
  rmSync(folder, { recursive: true })
  return Object.fromEntries(versions)
}

/**
 * A shell script around nasm, which expands all macros in each of its six or seven passes. The script expands them once and
 * assembles the result, which gives the same code in a sixth of the time. Padding depends on its address, so it is left to
 * the second step. A file that cannot be assembled this way, of which dav1d has one, is assembled by nasm alone.
 */
function expandOnce(nasm) {
  const padding = String.raw`times \(\(\(([0-9]+)\) - \(\([$]-[$][$]\) % \(\1\)\)\) % \(\1\)\) nop`
  return [
    'output= previous=',
    'for argument; do [ "$previous" = -o ] && output=$argument; previous=$argument; done',
    'expand() {',
    `  '${nasm}' "$@" -E && mv "$output" "$output.i" && {`,
    String.raw`    printf '%%use smartalign\nALIGNMODE p6\n'`,
    String.raw`    sed -E 's/^${padding}$/ALIGN \1/' "$output.i"`,
    '  } > "$output.asm"',
    '}',
    'case "$output" in',
    `  *.o | *.obj) expand "$@" 2> /dev/null && '${nasm}' -f elf64 -o "$output" "$output.asm" 2> /dev/null && exit ;;`,
    'esac',
    `exec '${nasm}' "$@"`,
  ].join('\n')
}

/**
 * Writes compiler commands for one target into `build`/bin. They cut `build` and `root` from the paths in their output, so
 * that the folder of a build leaves no trace.
 *
 * @returns the environment that finds the commands
 */
export function writeCompilers(tools, { arch, build, root, zigCache }) {
  const bin = path.join(build, 'bin')
  const { triple, landings } = architectures[arch]
  mkdirSync(bin, { recursive: true })
  const script = (name, body) => {
    writeFileSync(path.join(bin, `${name}.new`), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
    renameSync(path.join(bin, `${name}.new`), path.join(bin, name))
  }
  for (const [name, language] of [
    ['zig-cc', 'cc'],
    ['zig-c++', 'c++'],
  ]) {
    script(
      name,
      [
        `target=${triple}.${glibc}`,
        // Set here, because make, configure and the shell would each consume a dollar sign.
        `for argument; do [ "$argument" = -shared ] && set -- "$@" '-Wl,-rpath,$ORIGIN' && break; done`,
        // zig refuses a target that names its glibc when the input is a pipe, as in configure scripts.
        `for argument; do [ "$argument" = - ] && target=${triple}; done`,
        // Without optimisation, fortified headers print warnings, which some configure tests take for failures.
        'fortify=',
        `for argument; do case "$argument" in -O[123s]) fortify='${fortify}' ;; esac; done`,
        `exec '${tools.zig}' ${language} -target "$target" -fno-sanitize=undefined \\`,
        // zig would emit debug information by default, a third of the build time, although everything is stripped.
        `  -g0 ${hardening} ${landings} $fortify \\`,
        `  '-ffile-prefix-map=${build}=.' '-ffile-prefix-map=${root}=.' "$@"`,
      ].join('\n'),
    )
  }
  script('zig-ar', `exec '${tools.zig}' ar "$@"`)
  script('zig-ranlib', `exec '${tools.zig}' ranlib "$@"`)
  script('nasm', expandOnce(tools.nasm))
  return {
    PATH: [bin, tools.bin, process.env.PATH].join(path.delimiter),
    ZIG_GLOBAL_CACHE_DIR: zigCache,
    ZIG_LOCAL_CACHE_DIR: zigCache,
    // Fixes the dates and host details that build systems record.
    SOURCE_DATE_EPOCH: '1700000000',
    LC_ALL: 'C',
    TZ: 'UTC',
    // FFmpeg asks git for its version, and would find the repository around the build folder.
    GIT_DIR: '/dev/null',
  }
}
