// Builds for one target: dav1d and zlib (static), FFmpeg (shared, with both inside), and the allocator that they use (shared).

import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { jobs } from '../jobs.mjs'
import { PrebuildError, run, timed } from './run.mjs'
import { unpack } from './sources.mjs'
import { architectures } from './toolchain.mjs'

const parts = ['avutil', 'swscale', 'avcodec', 'avformat']
// Distinct file names and symbol versions keep this FFmpeg apart from another one in the same process.
export const suffix = '-cosmos'
export const prefix = '/opt/cosmos-embed'
// Strips the libraries, and binds every address at load so that the tables become read-only.
const linking = ['-s', '-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack']
// native/memory counts the allocations of FFmpeg, dav1d and their threads for each job.
const memory = { library: `memory${suffix}`, soname: `libmemory${suffix}.so.1`, functions: 'cosmos_' }
const counted = (...functions) => functions.map((name) => `-D${name}=${memory.functions}${name}`)

/** @returns the sysroot, the `soname` and `file` of each library, and FFmpeg's configure line */
export function buildLibraries({ root, sources, arch, build, env, wanted }) {
  const sysroot = path.join(build, 'sysroot')
  const installed = path.join(sysroot, prefix)
  const log = (name) => path.join(build, 'logs', `${name}.log`)
  const environment = {
    ...env,
    PKG_CONFIG_LIBDIR: path.join(installed, 'lib', 'pkgconfig'),
    PKG_CONFIG_SYSROOT_DIR: sysroot,
  }
  const source = (name) => {
    const folder = path.join(build, name)
    unpack(
      sources.find((one) => one.name === name),
      folder,
      log(name),
    )
    return folder
  }

  timed('memory', () =>
    buildMemory(root, { build, lib: path.join(installed, 'lib'), env, log: log('memory') }),
  )
  timed('zlib', () => buildZlib(source('zlib'), { sysroot, env: environment, log: log('zlib') }))
  timed('dav1d', () =>
    buildDav1d(source('dav1d'), { sysroot, build, arch, env: environment, log: log('dav1d') }),
  )
  const configure = buildFfmpeg(source('ffmpeg'), {
    sysroot,
    build,
    arch,
    wanted,
    env: environment,
    log: log('ffmpeg'),
  })

  const lib = path.join(installed, 'lib')
  const libraries = parts.map((part) => {
    const soname = readdirSync(lib).find((file) => new RegExp(`^lib${part}${suffix}\\.so\\.\\d+$`).test(file))
    if (!soname) throw new PrebuildError(`FFmpeg's build left no lib${part}${suffix}.so.N in ${lib}`)
    return { soname, file: realpathSync(path.join(lib, soname)) }
  })
  libraries.push({ soname: memory.soname, file: path.join(lib, memory.soname) })
  for (const name of ['zlib', 'dav1d', 'ffmpeg', 'ffmpeg-build', 'dav1d-build']) {
    rmSync(path.join(build, name), { recursive: true, force: true })
  }
  return { sysroot, libraries, configure }
}

// Linked as C: of the C++ library it uses only headers.
function buildMemory(root, { build, lib, env, log }) {
  const source = path.join(root, 'native', 'memory', 'job_meter')
  const object = path.join(build, 'job_meter.o')
  mkdirSync(lib, { recursive: true })
  run(
    'zig-c++',
    [
      ...['-std=c++20', '-O2', '-fno-exceptions', '-fno-rtti', '-fPIC'],
      ...['-I', path.join(root, 'native'), '-c', `${source}.cc`, '-o', object],
    ],
    { env, log },
  )
  run(
    'zig-cc',
    [
      ...['-shared', object, ...linking, `-Wl,--version-script=${source}.map`],
      ...[`-Wl,-soname,${memory.soname}`, '-o', path.join(lib, memory.soname)],
    ],
    { env, log },
  )
  symlinkSync(memory.soname, path.join(lib, `lib${memory.library}.so`))
}

function buildZlib(folder, { sysroot, env, log }) {
  run('./configure', ['--static', `--prefix=${prefix}`], {
    cwd: folder,
    env: { ...env, CC: 'zig-cc', AR: 'zig-ar', RANLIB: 'zig-ranlib', CFLAGS: '-O3 -fPIC' },
    log,
  })
  run('make', [`-j${jobs}`, 'libz.a'], { cwd: folder, env, log })
  run('make', ['install', `DESTDIR=${sysroot}`], { cwd: folder, env, log })
}

function buildDav1d(folder, { sysroot, build, arch, env, log }) {
  const { processor } = architectures[arch]
  const machine = path.join(build, 'machine.ini')
  writeFileSync(
    machine,
    `[binaries]
c = 'zig-cc'
ar = 'zig-ar'
ranlib = 'zig-ranlib'
nasm = 'nasm'
[host_machine]
system = 'linux'
cpu_family = '${processor}'
cpu = '${processor}'
endian = 'little'
`,
  )
  const output = path.join(build, 'dav1d-build')
  const allocation = counted('malloc', 'realloc', 'posix_memalign', 'free', 'pthread_create')
  run(
    'meson',
    [
      ...['setup', output, folder, '--cross-file', machine, `--prefix=${prefix}`, '--libdir=lib'],
      ...['--buildtype=release', '--default-library=static', '-Db_staticpic=true', '-Db_ndebug=true'],
      ...['-Denable_tools=false', '-Denable_tests=false', '-Denable_examples=false'],
      `-Dc_args=${allocation.join(' ')}`,
      `-Dc_link_args=-L${path.join(sysroot, prefix, 'lib')} -l${memory.library}`,
    ],
    { env, log },
  )
  run('meson', ['install', '-C', output, '--destdir', sysroot], {
    env: { ...env, NINJAFLAGS: `-j${jobs}` },
    log,
  })
}

function buildFfmpeg(folder, { sysroot, build, arch, wanted, env, log }) {
  for (const part of parts) {
    const script = path.join(folder, `lib${part}`, `lib${part}.v`)
    const versions = readFileSync(script, 'utf8')
    const name = `LIB${part.toUpperCase()}_MAJOR`
    if (!versions.startsWith(name)) throw new PrebuildError(`${script} does not begin with ${name}`)
    writeFileSync(script, versions.replace(name, `COSMOS_${name}`))
  }

  const { processor } = architectures[arch]
  const options = [
    ...[`--prefix=${prefix}`, `--build-suffix=${suffix}`, '--enable-cross-compile', '--target-os=linux'],
    ...[`--arch=${processor}`, '--cc=zig-cc', '--ar=zig-ar', '--ranlib=zig-ranlib'],
    ...['--enable-shared', '--disable-static', '--enable-pic', '--disable-debug', '--disable-stripping'],
    ...[
      '--disable-everything',
      '--disable-autodetect',
      '--disable-programs',
      '--disable-doc',
      '--disable-network',
    ],
    ...['--disable-avdevice', '--disable-avfilter', '--disable-swresample', '--disable-postproc'],
    ...['--enable-libdav1d', '--enable-zlib', '--pkg-config=pkg-config', '--pkg-config-flags=--static'],
    `--enable-demuxer=${[...wanted.demuxers, ...wanted.probes].join(',')}`,
    `--enable-parser=${wanted.parsers.join(',')}`,
    `--enable-decoder=${wanted.decoders.join(',')}`,
    `--enable-bsf=${wanted.filters.join(',')}`,
    `--malloc-prefix=${memory.functions}`,
    `--extra-cflags=${counted('pthread_create').join(' ')}`,
    `--extra-ldflags=-L../sysroot${prefix}/lib ${linking.join(' ')}`,
    `--extra-libs=-l${memory.library}`,
  ]
  const output = path.join(build, 'ffmpeg-build')
  mkdirSync(output, { recursive: true })
  const configure = path.join('..', path.basename(folder), 'configure')
  timed("FFmpeg's configure", () => run(configure, options, { cwd: output, env, log }))
  forget(path.join(output, 'config.h'), 'HAVE_SYSCTL')
  expect(path.join(output, 'config.h'), [
    `MALLOC_PREFIX ${memory.functions}`,
    'HAVE_POSIX_MEMALIGN 1',
    'HAVE_PTHREADS 1',
    ...(arch === 'x64' ? ['HAVE_X86ASM 1'] : ['HAVE_NEON 1']),
  ])
  timed('FFmpeg', () => run('make', [`-j${jobs}`], { cwd: output, env, log }))
  run('make', ['install', `DESTDIR=${sysroot}`], { cwd: output, env, log })
  cpSync(path.join(output, 'config_components.h'), path.join(build, 'config_components.h'))
  return options.join(' ')
}

/** Undoes a detection: configure links against stubs, and finds functions that the headers of this glibc do not declare. */
function forget(header, macro) {
  const text = readFileSync(header, 'utf8')
  const line = new RegExp(`^#define ${macro} 1$`, 'm')
  if (line.test(text)) writeFileSync(header, text.replace(line, `#define ${macro} 0`))
}

/** Throws where configure has silently left something out because one of its tests failed. */
function expect(header, macros) {
  const lines = readFileSync(header, 'utf8').split('\n')
  const missing = macros.filter((macro) => !lines.includes(`#define ${macro}`))
  if (missing.length > 0) throw new PrebuildError(`${header} does not say ${missing.join(', ')}`)
}
