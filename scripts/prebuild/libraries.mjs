// Builds dav1d and zlib (static) and FFmpeg (shared, with both inside) for one target.

import { cpSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { jobs, PrebuildError, run } from './run.mjs'
import { unpack } from './sources.mjs'
import { architectures } from './toolchain.mjs'

const parts = ['avutil', 'swscale', 'avcodec', 'avformat']
// Files and symbol versions of our own, so that our FFmpeg and another one in the same process never meet.
export const suffix = '-cosmos'
export const prefix = '/opt/cosmos-embed'
// Nothing that a debugger or a linker of programs wants, and every address bound before the first call.
const linking = ['-s', '-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack']

/** Returns { sysroot, libraries: files named by SONAME, configure: FFmpeg's configure line }. */
export function buildLibraries({ sources, arch, build, env, wanted }) {
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

  buildZlib(source('zlib'), { sysroot, env: environment, log: log('zlib') })
  buildDav1d(source('dav1d'), { sysroot, build, arch, env: environment, log: log('dav1d') })
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
  for (const name of ['zlib', 'dav1d', 'ffmpeg', 'ffmpeg-build', 'dav1d-build']) {
    rmSync(path.join(build, name), { recursive: true, force: true })
  }
  return { sysroot, libraries, configure }
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
  run(
    'meson',
    [
      ...['setup', output, folder, '--cross-file', machine, `--prefix=${prefix}`, '--libdir=lib'],
      ...['--buildtype=release', '--default-library=static', '-Db_staticpic=true', '-Db_ndebug=true'],
      ...['-Denable_tools=false', '-Denable_tests=false', '-Denable_examples=false'],
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
    `--extra-ldflags=${linking.join(' ')}`,
  ]
  const output = path.join(build, 'ffmpeg-build')
  mkdirSync(output, { recursive: true })
  run(path.join('..', path.basename(folder), 'configure'), options, { cwd: output, env, log })
  forget(path.join(output, 'config.h'), 'HAVE_SYSCTL')
  run('make', [`-j${jobs}`], { cwd: output, env, log })
  run('make', ['install', `DESTDIR=${sysroot}`], { cwd: output, env, log })
  cpSync(path.join(output, 'config_components.h'), path.join(build, 'config_components.h'))
  return options.join(' ')
}

/** configure links against stubs, and so finds functions that the headers of this glibc do not declare. */
function forget(header, macro) {
  const text = readFileSync(header, 'utf8')
  const line = new RegExp(`^#define ${macro} 1$`, 'm')
  if (line.test(text)) writeFileSync(header, text.replace(line, `#define ${macro} 0`))
}
