// Builds the addon for one target against the packaged FFmpeg.

import path from 'node:path'
import { jobs } from '../jobs.mjs'
import { prefix, suffix } from './libraries.mjs'
import { run } from './run.mjs'
import { architectures } from './toolchain.mjs'

/** Builds what changed. @returns the addon's file */
export function buildAddon({ root, arch, build, sysroot, headers, env }) {
  const output = path.join(build, 'addon')
  run(
    path.join(root, 'node_modules', '.bin', 'cmake-js'),
    [
      ...[
        'build',
        '--directory',
        root,
        '--out',
        output,
        '--config',
        'Release',
        '--arch',
        arch,
        ...['--prefer-make', '--parallel', String(jobs)],
      ],
      `--CDCMAKE_TOOLCHAIN_FILE=${path.join(root, 'scripts', 'prebuild', 'zig.cmake')}`,
      `--CDCOSMOS_FFMPEG_SUFFIX=${suffix}`,
      `--CDFFNVCODEC_DIR=${headers}`,
      // ccache does not tell versions of zig apart, and would reuse objects of another one.
      '--CDCCACHE=OFF',
    ],
    {
      cwd: root,
      env: {
        ...env,
        COSMOS_PROCESSOR: architectures[arch].processor,
        PKG_CONFIG_LIBDIR: path.join(sysroot, prefix, 'lib', 'pkgconfig'),
        PKG_CONFIG_SYSROOT_DIR: sysroot,
      },
      log: path.join(build, 'logs', 'addon.log'),
    },
  )
  return path.join(output, 'Release', 'cosmos-embed.node')
}
