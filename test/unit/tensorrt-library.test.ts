import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { driverLibraries } from '../../src/device/driver-libraries.ts'
import { findTensorRt, type TensorRtSearch } from '../../src/tensorrt/tensorrt-library.ts'
import { makeFolder, removeFolders } from './bundles.ts'

afterEach(removeFolders)

function put(...parts: string[]): string {
  const path = join(...parts)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, '')
  return path
}

/** Empty folders and an empty environment. */
function nothing() {
  const environment: Record<string, string> = {}
  return {
    environment,
    sitePackages: [makeFolder(), makeFolder()],
    systemFolders: [makeFolder(), makeFolder()],
  } satisfies TensorRtSearch
}

describe('TensorRT is found', () => {
  test('in this order: option, environment, TENSORRT_ROOT, Python, system; 11 before 10', () => {
    const around = nothing()
    const [, system = ''] = around.systemFolders
    const ten = put(system, 'libnvinfer.so.10')
    put(system, 'libnvinfer.so')
    expect(findTensorRt({}, around)).toEqual({ path: ten, origin: 'system' })
    const eleven = put(system, 'libnvinfer.so.11')
    expect(findTensorRt({}, around)).toEqual({ path: eleven, origin: 'system' })

    const [, python = ''] = around.sitePackages
    const ofPython = put(python, 'tensorrt_libs', 'libnvinfer.so.10')
    expect(findTensorRt({}, around)).toEqual({ path: ofPython, origin: 'python' })

    const root = makeFolder()
    const ofRoot = put(root, 'lib', 'libnvinfer.so.10')
    around.environment.TENSORRT_ROOT = root
    expect(findTensorRt({}, around)).toEqual({ path: ofRoot, origin: 'TENSORRT_ROOT' })

    const named = put(makeFolder(), 'mine.so')
    around.environment.COSMOS_EMBED_TENSORRT = named
    expect(findTensorRt({}, around)).toEqual({ path: named, origin: 'environment' })
    const given = put(makeFolder(), 'given.so')
    expect(findTensorRt({ path: given }, around)).toEqual({ path: given, origin: 'option' })
  })

  test('behind a symbolic link, as installers create it', () => {
    const around = nothing()
    const real = put(makeFolder(), 'libnvinfer.so.10.16.1')
    symlinkSync(real, join(around.systemFolders[0] as string, 'libnvinfer.so.10'))
    expect(findTensorRt({}, around).path).toBe(real)
  })

  test.each(['python', 'system'])('as a lean runtime of %s only if it can be used', (place) => {
    const around = nothing()
    const lean =
      place === 'python'
        ? put(around.sitePackages[0] as string, 'tensorrt_lean_libs', 'libnvinfer_lean.so.10')
        : put(around.systemFolders[0] as string, 'libnvinfer_lean.so.10')
    expect(() => findTensorRt({}, around)).toThrow('was not found')
    expect(findTensorRt({ allowLean: true }, around).path).toBe(lean)
    const full = put(around.systemFolders[1] as string, 'libnvinfer.so.10')
    expect(findTensorRt({ allowLean: true }, around).path).toBe(full)
  })

  test('in the packages of the Python environment that is active', () => {
    const environment = { VIRTUAL_ENV: makeFolder(), HOME: makeFolder() }
    put(environment.VIRTUAL_ENV, 'lib/python3.9/site-packages/tensorrt_libs/libnvinfer.so.10')
    const newer = put(environment.VIRTUAL_ENV, 'lib/python3.12/site-packages/tensorrt_libs/libnvinfer.so.10')
    expect(findTensorRt({}, { environment, systemFolders: [] })).toEqual({ path: newer, origin: 'python' })
  })

  test('in the packages of the python3 on PATH, of its virtual environment first', () => {
    const [venv, real] = [makeFolder(), makeFolder()]
    const interpreter = put(real, 'bin/python3')
    mkdirSync(join(venv, 'bin'))
    symlinkSync(interpreter, join(venv, 'bin', 'python3'))
    const environment = { PATH: `relative:${makeFolder()}:${join(venv, 'bin')}`, HOME: makeFolder() }
    const find = () => findTensorRt({}, { environment, systemFolders: [] }).path
    const behind = put(real, 'lib/python3.12/site-packages/tensorrt_libs/libnvinfer.so.10')
    expect(find()).toBe(behind)
    const own = put(venv, 'lib/python3.12/site-packages/tensorrt_libs/libnvinfer.so.10')
    expect(find()).toBe(own)
  })
})

describe('TensorRT is missing', () => {
  test.each([
    ['the option', { path: '/nowhere/x.so' }, {}, /`cuda.libraries.tensorrt` names \/nowhere\/x.so/],
    [
      'the variable',
      {},
      { COSMOS_EMBED_TENSORRT: '/tmp' },
      /COSMOS_EMBED_TENSORRT names \/tmp, which is not a file/,
    ],
  ])('%s is meant: nothing else is tried', (_, options, environment, message) => {
    const around = { ...nothing(), environment }
    put(around.systemFolders[0] as string, 'libnvinfer.so.11')
    expect(() => findTensorRt(options, around)).toThrow(
      expect.objectContaining({ code: 'library', message: expect.stringMatching(message) }),
    )
  })

  test('everywhere: the message lists each place and what to install', () => {
    const around = nothing()
    let message = ''
    try {
      findTensorRt({}, around)
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toMatch(/^TensorRT \(libnvinfer.so.11 or libnvinfer.so.10\) was not found/)
    for (const place of [
      'COSMOS_EMBED_TENSORRT: not set',
      'TENSORRT_ROOT: not set',
      ...around.sitePackages,
      ...around.systemFolders,
      'pip install tensorrt',
    ]) {
      expect(message).toContain(place)
    }
  })
})

describe('the libraries of the driver', () => {
  test('are left to the dynamic loader, unless an option or the environment names them', () => {
    const [one, two] = [put(makeFolder(), 'cuda.so'), put(makeFolder(), 'other.so')]
    expect(driverLibraries({ libraries: {} }, {})).toEqual({})
    expect(driverLibraries({ libraries: {} }, { COSMOS_EMBED_CUDA: one, COSMOS_EMBED_NVCUVID: two })).toEqual(
      {
        cuda: one,
        nvcuvid: two,
      },
    )
    expect(driverLibraries({ libraries: { cuda: two } }, { COSMOS_EMBED_CUDA: one })).toEqual({ cuda: two })
  })

  test('must exist when they are named', () => {
    expect(() => driverLibraries({ libraries: { nvcuvid: '/nowhere' } }, {})).toThrow(
      expect.objectContaining({
        code: 'library',
        message: expect.stringContaining('cuda.libraries.nvcuvid'),
      }),
    )
  })
})
