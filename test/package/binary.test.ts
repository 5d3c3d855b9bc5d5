/** Checks the binaries and contents of the package, and that the checks can fail. */
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { checkFile, checkFolder } from '../../scripts/check-binary.mjs'
import { components } from '../../scripts/prebuild/components.mjs'
import { requireGlibc } from './elf-edit.ts'
import { installedPackage, packed, prebuild } from './support.ts'

const scratch = mkdtempSync(path.join(tmpdir(), 'cosmos-binary-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const arch = process.arch
const addon = path.join(prebuild, 'cosmos-embed.glibc.node')
const siblings = readdirSync(prebuild)

describe('the files of the prebuild', () => {
  it('pass every check of check-binary', () => {
    expect(checkFolder(prebuild)).toEqual([])
  })

  it('would fail with a newer glibc', () => {
    const file = path.join(scratch, 'cosmos-embed.glibc.node')
    writeFileSync(file, requireGlibc(readFileSync(addon), '2.99'))
    expect(checkFile(file, { arch, siblings }).problems).toEqual([
      'cosmos-embed.glibc.node: needs GLIBC_2.99; the newest allowed is 2.28',
    ])
  })

  it('would fail without the libraries beside the addon', () => {
    const { problems } = checkFile(addon, { arch, siblings: [] })
    expect(problems.join()).toMatch(/needs .*libavcodec-cosmos\.so\.\d+.*, which not every system has/)
  })

  it('would fail for another architecture', () => {
    const other = arch === 'x64' ? 'arm64' : 'x64'
    expect(checkFile(addon, { arch: other, siblings }).problems.join()).toMatch(
      /^cosmos-embed.glibc.node: is for /,
    )
  })

  it('would fail without stack protector, fortification and branch protection', () => {
    const name = siblings.find((file) => file.startsWith('libavutil-cosmos')) as string
    const bytes = readFileSync(path.join(prebuild, name))
    const landing = Buffer.from(arch === 'x64' ? 'f30f1efa' : '3f2303d5', 'hex')
    for (let at = bytes.indexOf(landing); at >= 0; at = bytes.indexOf(landing)) bytes.fill(0x90, at, at + 4)
    for (const symbol of ['__stack_chk_fail', '_chk\0']) {
      for (let at = bytes.indexOf(symbol); at >= 0; at = bytes.indexOf(symbol)) bytes.write('_none', at)
    }
    writeFileSync(path.join(scratch, name), bytes)
    const problems = checkFile(path.join(scratch, name), { arch, siblings }).problems.join('\n')
    expect(problems).toMatch(/without the stack protector/)
    expect(problems).toMatch(/without _FORTIFY_SOURCE/)
    expect(problems).toMatch(/without branch protection/)
  })

  it('would fail with the symbols or the soname of another library', () => {
    const system = process.report.getReport() as unknown as { sharedObjects: string[] }
    const libc = system.sharedObjects.find((file) => /\/libstdc\+\+\.so/.test(file))
    if (!libc) throw new Error('this Node.js has no libstdc++')
    copyFileSync(libc, path.join(scratch, 'libavcodec-cosmos.so.61'))
    const problems = checkFile(path.join(scratch, 'libavcodec-cosmos.so.61'), {
      arch,
      siblings,
    }).problems.join('\n')
    expect(problems).toMatch(/without a version of ours/)
    expect(problems).toMatch(/calls itself libstdc\+\+/)
  })
})

describe('the FFmpeg of the package', () => {
  const { ffmpeg, napi } = createRequire(import.meta.url)(addon).diagnostics()
  const wanted = components(packed.root)

  it('has exactly the demuxers and decoders that native/media allows', () => {
    const names = ffmpeg.demuxers.map((name: string) =>
      (name.split(',')[0] ?? '').replace(/^mpeg$/, 'mpegps'),
    )
    expect(names.sort()).toEqual([...wanted.demuxers].sort())
    const videoDecoders = wanted.decoders.filter((name: string) => !['png', 'webp'].includes(name))
    expect(ffmpeg.decoders).toEqual(expect.arrayContaining(videoDecoders))
  })

  it('is under the LGPL 2.1, and its configuration contains no build path', () => {
    expect(ffmpeg.license).toBe('LGPL version 2.1 or later')
    expect(ffmpeg.configuration).not.toMatch(/--enable-(gpl|nonfree|version3)|\.cache|\/home|\/root|\/tmp/)
  })

  it('has a Node-API version that Node.js 20 supports', () => {
    expect(napi).toBeLessThanOrEqual(9)
  })

  it('contains no path of this machine', () => {
    for (const file of siblings.filter((name) => name !== 'libonnxruntime.so.1')) {
      const bytes = readFileSync(path.join(prebuild, file))
      expect(bytes.includes(packed.root), file).toBe(false)
    }
  })
})

describe('the package', () => {
  it('is at most 30 MB packed and 80 MB unpacked, with the demo model', () => {
    expect(packed.files).toContain('models/demo/video.onnx')
    expect(packed.packedBytes).toBeLessThanOrEqual(30e6)
    expect(packed.unpackedBytes).toBeLessThanOrEqual(80e6)
  })

  it('has the sizes of docs/packaging.md, within 5 percent', () => {
    const docs = readFileSync(path.join(packed.root, 'docs', 'packaging.md'), 'utf8')
    const told = (row: string) =>
      Number(new RegExp(`^\\| ${row} \\| ([\\d.]+) \\|$`, 'm').exec(docs)?.[1]) * 1e6
    const sizes = {
      packed: packed.packedBytes,
      unpacked: packed.unpackedBytes,
      'of that ONNX Runtime': statSync(path.join(prebuild, 'libonnxruntime.so.1')).size,
      addon: statSync(addon).size,
    }
    for (const [row, bytes] of Object.entries(sizes)) {
      expect(Math.abs(told(row) / bytes - 1), `${row}: ${bytes} bytes`).toBeLessThan(0.05)
    }
  })

  it('contains the licence of every component, and names it in the notices and the SBOM', () => {
    const notices = readFileSync(path.join(installedPackage, 'THIRD_PARTY_NOTICES.md'), 'utf8')
    const texts = [...notices.matchAll(/licenses\/[\w.-]+\.txt/g)].map(([file]) => file)
    expect(packed.files).toEqual(expect.arrayContaining(['LICENSE', ...texts]))
    expect(packed.files.filter((file) => file.startsWith('licenses/')).sort()).toEqual([...texts].sort())

    const { components: parts } = JSON.parse(readFileSync(path.join(prebuild, 'sbom.cdx.json'), 'utf8'))
    const compiledIn = [
      'ffmpeg',
      'dav1d',
      'zlib',
      'onnxruntime-node',
      'node-addon-api',
      'nv-codec-headers',
      'ziglang',
    ]
    for (const name of compiledIn) {
      expect(parts.find((part: { name: string }) => part.name === name)).toMatchObject({
        version: expect.stringMatching(/\d/),
        licenses: expect.arrayContaining([expect.anything()]),
      })
    }
    for (const name of [
      'FFmpeg',
      'dav1d',
      'zlib',
      'ONNX Runtime',
      'node-addon-api',
      'nv-codec-headers',
      'Zig',
    ])
      expect(notices).toContain(name)
  })

  it('contains the documentation, and the clips that the page offers', () => {
    expect(packed.files).toEqual(
      expect.arrayContaining([
        'docs/frameworks.md',
        'examples/clips/captions.json',
        'examples/clips/red-circle.mp4',
      ]),
    )
  })

  it('contains nothing that only a checkout needs', () => {
    const surprising = packed.files.filter((file) =>
      /^(test|scripts\/(?!export|engine)|src|\.|build|examples\/(?!clips\/))/.test(file),
    )
    expect(surprising).toEqual([])
  })

  it('has no install scripts', () => {
    const { scripts = {} } = JSON.parse(readFileSync(path.join(installedPackage, 'package.json'), 'utf8'))
    expect(Object.keys(scripts).filter((name) => /install|prepare/.test(name))).toEqual([])
  })
})
