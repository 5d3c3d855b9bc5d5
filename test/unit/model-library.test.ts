import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { findOnnxRuntime, type OnnxRuntimeSearch } from '../../src/device/onnxruntime-library.ts'
import { makeFolder, removeFolders } from './bundles.ts'

afterEach(removeFolders)

const library = 'libonnxruntime.so.1'
const { platform, arch } = process

function put(...parts: string[]): string {
  const path = join(...parts)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, '')
  return path
}

const places = {
  addon: (root: string) => put(root, 'prebuilds', `${platform}-${arch}`, library),
  package: (root: string) => {
    put(root, 'node_modules/onnxruntime-node/package.json')
    writeFileSync(join(root, 'node_modules/onnxruntime-node/package.json'), '{"name":"onnxruntime-node"}')
    return put(root, 'node_modules/onnxruntime-node/bin/napi-v9', platform, arch, library)
  },
}

/** Empty folders and an empty environment. */
function nothing(): Required<Omit<OnnxRuntimeSearch, 'systemFolders'>> & { systemFolders: string[] } {
  return {
    environment: {},
    packageRoot: makeFolder(),
    workingDirectory: makeFolder(),
    systemFolders: [makeFolder(), makeFolder()],
  }
}

describe('the library is found', () => {
  test('in this order: option, environment, addon, onnxruntime-node, system', () => {
    const around = nothing()
    const [, second] = around.systemFolders
    const inSystem = put(second as string, library)
    expect(findOnnxRuntime({}, around)).toEqual({ path: inSystem, origin: 'system' })

    const ofApplication = places.package(around.workingDirectory)
    expect(findOnnxRuntime({}, around)).toEqual({ path: ofApplication, origin: 'onnxruntime-node' })
    const ofOurs = places.package(around.packageRoot)
    expect(findOnnxRuntime({}, around)).toEqual({ path: ofOurs, origin: 'onnxruntime-node' })

    const packed = places.addon(around.packageRoot)
    expect(findOnnxRuntime({}, around)).toEqual({ path: packed, origin: 'addon' })

    const named = put(makeFolder(), 'my-onnxruntime.so')
    const environment = { COSMOS_EMBED_ONNXRUNTIME: named }
    expect(findOnnxRuntime({}, { ...around, environment })).toEqual({ path: named, origin: 'environment' })

    const given = put(makeFolder(), 'given.so')
    expect(findOnnxRuntime({ path: given }, { ...around, environment })).toEqual({
      path: given,
      origin: 'option',
    })
  })

  test('behind a symbolic link, as systems install it', () => {
    const around = nothing()
    const real = put(makeFolder(), 'libonnxruntime.so.1.32.0')
    symlinkSync(real, join(around.systemFolders[0] as string, library))
    expect(findOnnxRuntime({}, around).path).toBe(real)
  })

  test('where npm installed onnxruntime-node for this repository', () => {
    const { path, origin } = findOnnxRuntime({}, { environment: {}, systemFolders: [] })
    expect(path).toMatch(/libonnxruntime\.so/)
    expect(['addon', 'onnxruntime-node']).toContain(origin)
  })
})

describe('the library is missing', () => {
  test.each([
    ['the option', { path: '/nowhere/x.so' }, {}, /option .* names \/nowhere\/x.so, which is not a file/],
    [
      'the variable',
      {},
      { COSMOS_EMBED_ONNXRUNTIME: '/nowhere/y.so' },
      /COSMOS_EMBED_ONNXRUNTIME names \/nowhere\/y.so/,
    ],
    ['a folder', { path: '/tmp' }, {}, /names \/tmp, which is not a file/],
  ])('%s is meant: nothing else is tried', (_, options, environment, message) => {
    const around = { ...nothing(), environment }
    places.addon(around.packageRoot)
    expect(() => findOnnxRuntime(options, around)).toThrow(
      expect.objectContaining({ code: 'library', message: expect.stringMatching(message) }),
    )
  })

  test('everywhere: the message lists each place and what to install', () => {
    const around = nothing()
    let message = ''
    try {
      findOnnxRuntime({}, around)
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toContain('COSMOS_EMBED_ONNXRUNTIME: not set')
    expect(message).toContain(join(around.packageRoot, 'prebuilds', `${platform}-${arch}`, library))
    expect(message).toMatch(/onnxruntime-node, from .*: not installed/)
    for (const folder of around.systemFolders) expect(message).toContain(join(folder, library))
    expect(message).toContain('npm install onnxruntime-node --ignore-scripts')
  })

  test('onnxruntime-node is installed, but not for this machine', () => {
    const around = nothing()
    put(around.packageRoot, 'node_modules/onnxruntime-node/bin/napi-v9/plan9/z80', library)
    writeFileSync(join(around.packageRoot, 'node_modules/onnxruntime-node/package.json'), '{}')
    expect(() => findOnnxRuntime({}, around)).toThrow(/has no library for this machine/)
  })
})
