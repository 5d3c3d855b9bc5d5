import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findBuildTool } from '../../src/tensorrt/build-tool.ts'
import { makeFolder, removeFolders } from './bundles.ts'
import { machine } from './engines.ts'

let bin: string

beforeEach(() => {
  bin = makeFolder()
})
afterEach(removeFolders)

const found = { ...machine.tensorrt, path: '/opt/tensorrt/lib/libnvinfer.so.10', origin: 'system' as const }

describe('the build tool is found', () => {
  const never = new AbortController().signal
  const program = (...parts: string[]) => {
    const path = join(...parts)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, '#!/bin/sh\nexit 0\n', { mode: 0o755 })
    return path
  }
  const find = (environment: Record<string, string>, more: object = {}) =>
    findBuildTool(
      { tensorrt: found, signal: never, ...more },
      { environment, packagedTrtexec: join(bin, 'packaged') },
    )

  test('in TENSORRT_ROOT, then PATH, then Debian’s folder, then beside the library', async () => {
    const library = join(makeFolder(), 'lib', 'libnvinfer.so.10')
    const tensorrt = { ...found, path: library }
    const beside = program(library, '..', '..', 'bin', 'trtexec')
    const environment: Record<string, string> = { PATH: '' }
    expect(await find(environment, { tensorrt })).toEqual({ kind: 'trtexec', program: beside })
    const packaged = program(bin, 'packaged')
    expect((await find(environment, { tensorrt })).program).toBe(packaged)
    const path = makeFolder()
    const inPath = program(path, 'trtexec')
    environment.PATH = `${makeFolder()}:${path}`
    expect((await find(environment, { tensorrt })).program).toBe(inPath)
    environment.TENSORRT_ROOT = makeFolder()
    const inRoot = program(environment.TENSORRT_ROOT, 'bin', 'trtexec')
    expect((await find(environment, { tensorrt })).program).toBe(inRoot)
  })

  test('as Python with TensorRT, if there is no trtexec', async () => {
    const folder = makeFolder()
    program(folder, 'python3')
    expect(await find({ PATH: folder })).toEqual({ kind: 'python', program: join(folder, 'python3') })
    writeFileSync(join(folder, 'python3'), '#!/bin/sh\nexit 1\n')
    await expect(find({ PATH: folder })).rejects.toMatchObject({
      code: 'library',
      message: expect.stringMatching(
        /python3: has no module tensorrt[\s\S]*pip install tensorrt==10.16.1.11/,
      ),
    })
  })

  test('as Python whose TensorRT loads in the environment that the build has', async () => {
    const folder = makeFolder()
    const python = program(folder, 'python3')
    const wanted = '/opt/tensorrt/lib:/opt/cuda/lib'
    writeFileSync(python, `#!/bin/sh\n[ "$LD_LIBRARY_PATH" = ${wanted} ] && [ "$KEPT" = yes ]\n`)
    const environment = { PATH: `${folder}:/usr/bin:/bin`, LD_LIBRARY_PATH: '/opt/cuda/lib', KEPT: 'yes' }
    expect(await find(environment)).toEqual({ kind: 'python', program: python })
    await expect(find({ ...environment, KEPT: 'no' })).rejects.toThrow('has no module tensorrt')
  })

  test('nowhere: every place is listed', async () => {
    const folder = makeFolder()
    await expect(find({ PATH: folder })).rejects.toThrow(join(folder, 'trtexec'))
    await expect(find({}, { trtexec: folder })).rejects.toThrow('is not an executable file')
  })
})
