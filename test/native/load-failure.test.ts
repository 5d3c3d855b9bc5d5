import { describe, expect, it } from 'vitest'
import { explainLoadFailure, type LoadFailure } from '../../lib/load-failure.js'

const healthy = {
  platform: 'linux',
  arch: 'x64',
  libc: 'glibc 2.36',
  node: '20.20.2',
  engines: '^20.19.0 || >=22.12.0',
}

function explain(message: string, code?: string, machine: Partial<LoadFailure> = {}) {
  const error = code === undefined ? { message } : { message, code }
  return explainLoadFailure({ ...healthy, attempts: [{ path: '/app/x.node', error }], ...machine })
}

describe('an addon that does not load', () => {
  it.each([
    [
      'a missing FFmpeg library',
      explain(
        'libavformat.so.59: cannot open shared object file: No such file or directory',
        'ERR_DLOPEN_FAILED',
      ),
      /FFmpeg's libavformat\.so\.59 .*apt-get install libavformat59\b/,
    ],
    [
      'a package that lost a file',
      explain('libavcodec-cosmos.so.61: cannot open shared object file: No such file or directory'),
      /incomplete: its libavcodec-cosmos\.so\.61 is missing\. Reinstall .*prebuilds\/linux-x64/,
    ],
    [
      'another missing library',
      explain('libstdc++.so.6: cannot open shared object file: No such file or directory'),
      /The library libstdc\+\+\.so\.6 is not installed/,
    ],
    [
      'an old C library',
      explain("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /app/x.node)"),
      /needs GLIBC_2\.38 and this system \(glibc 2\.36\) is older/,
    ],
    [
      'an old libstdc++',
      explain("/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /app/x.node)"),
      /needs GLIBCXX_3\.4\.32 /,
    ],
    [
      'addons switched off',
      explain('loading addons is disabled', 'ERR_DLOPEN_DISABLED'),
      /without --no-addons/,
    ],
    ['no file for this machine', explain('no such folder', 'NO_BUILD'), /bundler .*external.*npm run build/],
    [
      'no file for arm64',
      explain('no such folder', 'NO_BUILD', { arch: 'arm64' }),
      /unpack linux-arm64\.tar\.gz .*npm run build/,
    ],
    [
      'a mixture of versions',
      explain('built for 0.1.0', 'VERSION_MISMATCH'),
      /different versions. Reinstall/,
    ],
    ['the file of another machine', explain('/app/x.node: invalid ELF header'), /built for another machine/],
    [
      'a file that is cut short',
      explain('x.node is cut short: 9 bytes of 80', 'DAMAGED'),
      /damaged .*Reinstall/,
    ],
    ['another FFmpeg', explain('undefined symbol: av_frame_side_data_get'), /another version of a library/],
    ['a noexec mount', explain('failed to map segment from shared object'), /noexec/],
    ['an old Node', explain('?', undefined, { node: '18.20.0' }), /18\.20\.0 is not supported; \^20\.19\.0/],
    ['a Node between the ranges', explain('?', undefined, { node: '22.11.0' }), /22\.11\.0 is not supported/],
    ['an odd Node', explain('?', undefined, { node: '21.7.0' }), /21\.7\.0 is not supported/],
    ['musl', explain('?', undefined, { libc: 'musl' }), /musl \(Alpine\).*Debian.*cosmos-embed\/client/],
    [
      'Windows',
      explain('?', undefined, { platform: 'win32', libc: '' }),
      /runs on Linux.*win32 x64.*cosmos-embed\/client/,
    ],
    ['a 32-bit machine', explain('?', undefined, { arch: 'ia32' }), /x64 and arm64; this is linux ia32/],
    [
      'a wrong override',
      explain("Cannot find module '/tmp/no'", 'MODULE_NOT_FOUND', { override: '/tmp/no' }),
      /COSMOS_EMBED_ADDON is set to \/tmp\/no/,
    ],
  ])('explains %s, and only that', (_what, error, remedy) => {
    const [, advice = ''] = error.message.split('Possible causes and remedies:\n')
    expect(advice).toMatch(remedy)
    expect(advice.split('\n')).toHaveLength(1)
  })

  it.each(['20.19.0', '20.20.2', '22.12.0', '24.0.0', '27.1.0'])('does not blame Node %s', (node) => {
    expect(explain('?', undefined, { node }).message).not.toMatch(/is not supported/)
  })

  it('names the machine and each path with its own error, as a NativeFailure', () => {
    const error = explainLoadFailure({
      ...healthy,
      attempts: [
        { path: '/a/build/Release', error: { code: 'NO_BUILD', message: 'no such folder' } },
        {
          path: '/a/prebuilds/linux-x64',
          error: { code: 'NO_BUILD', message: 'only: x.musl.node\nRequire stack:' },
        },
      ],
    })
    expect(error.message).toContain('(linux x64 glibc 2.36, Node.js 20.20.2)')
    expect(error.message).toContain('  /a/build/Release\n    no such folder\n')
    expect(error.message).toContain('  /a/prebuilds/linux-x64\n    only: x.musl.node\n')
    expect(error).toBeInstanceOf(Error)
    expect(error.code).toBe('library')
    expect(error.details).toMatchObject({ platform: 'linux', arch: 'x64', node: '20.20.2' })
  })

  it('suggests no remedy for unknown causes', () => {
    expect(explain('something new').message).toMatch(/something new$/)
  })
})
