import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { loadBundle, readLicense } from '../../src/model/bundle.ts'
import { contents, makeFolder, modelJson, removeFolders, sha256, writeBundle } from './bundles.ts'

const cacheOf = (folder: string) => join(folder, 'cosmos-embed', 'file-hashes.json')
let cache = ''

beforeEach(() => {
  cache = makeFolder()
  vi.stubEnv('XDG_CACHE_HOME', cache)
})
afterEach(() => {
  vi.unstubAllEnvs()
  removeFolders()
})

/** A copy of model.json with one part replaced, by path. */
function changed(path: string, value: unknown): typeof modelJson {
  const copy = structuredClone(modelJson)
  const keys = path.split('.')
  const last = keys.pop() as string
  const parent = keys.reduce((node, key) => node[key] as never, copy as unknown as Record<string, unknown>)
  parent[last] = value
  return copy
}

describe('a bundle', () => {
  test('loads with absolute paths, square resolution and all files', async () => {
    const directory = writeBundle()
    const bundle = await loadBundle(directory)
    const { id, variant, description, frames, height, width, embeddingDim, maxTextTokens } = bundle
    expect({ id, variant, description, frames, height, width, embeddingDim, maxTextTokens }).toEqual({
      id: 'made-up/tiny-1',
      variant: 'demo',
      description: 'for tests',
      frames: 8,
      height: 224,
      width: 224,
      embeddingDim: 256,
      maxTextTokens: 128,
    })
    expect(bundle.directory).toBe(directory)
    expect(bundle.files.video).toEqual({
      path: join(directory, 'video.onnx'),
      sha256: sha256(contents['video.onnx'] as string),
      bytes: 18,
    })
    expect(Object.keys(bundle.files)).toEqual(['video', 'text', 'tokenizer', 'video-data'])
    expect(bundle.source).toEqual({ repository: 'made-up', revision: 7 })
  })

  test('accepts [height, width], upper-case hashes and unknown fields', async () => {
    const json = { ...changed('resolution', [128, 256]), metrics: { recall: 1 } }
    json.files.text.sha256 = json.files.text.sha256.toUpperCase()
    const bundle = await loadBundle(writeBundle(json))
    expect([bundle.height, bundle.width]).toEqual([128, 256])
    expect(bundle.files.text.sha256).toBe(modelJson.files.text.sha256)
  })

  test('loads through a symbolic link to its folder, and with links inside it', async () => {
    const directory = writeBundle(changed('files.video.path', 'link.onnx'))
    symlinkSync('video.onnx', join(directory, 'link.onnx'))
    const link = join(makeFolder(), 'model')
    symlinkSync(directory, link)
    expect((await loadBundle(link)).files.video.path).toBe(join(directory, 'video.onnx'))
  })

  test('reports its licence, with and without a file', async () => {
    const { name, path: _, url } = modelJson.license
    expect(await readLicense(await loadBundle(writeBundle()))).toEqual({ name, url, text: 'You may.' })
    const bare = await loadBundle(writeBundle(changed('license', { name })))
    expect(await readLicense(bare)).toEqual({ name, url: undefined })
  })

  const wrong: [string, unknown, RegExp][] = [
    ['no JSON', '{', /model.json: not JSON/],
    ['an empty list', [], /formatVersion is missing, this version of cosmos-embed reads 1/],
    ['null', 'null', /formatVersion is missing/],
    [
      'a newer format',
      changed('formatVersion', 2),
      /formatVersion is 2, this version of cosmos-embed reads 1/,
    ],
    ['a format in words', changed('formatVersion', '1'), /formatVersion is "1"/],
    ['no id', changed('id', undefined), /model.json: id: is required/],
    ['an id with a line break', changed('id', 'a\nb'), /id: must be a name/],
    ['no frames', changed('frames', 0), /frames: .*found 0/],
    ['half a pixel', changed('resolution', 22.5), /resolution: /],
    ['three dimensions', changed('resolution', [1, 2, 3]), /resolution: /],
    ['a dimension in words', changed('embeddingDim', '256'), /embeddingDim: .*found "256"/],
    ['no text graph', changed('files.text', undefined), /files.text: is required/],
    ['a short hash', changed('files.video.sha256', 'abc'), /files.video.sha256: must be 64 hex digits/],
    ['no size', changed('files.video-data.bytes', undefined), /files.video-data.bytes: is required/],
    ['no licence', changed('license', undefined), /license: is required/],
    [
      'a path upwards',
      changed('files.video.path', '../video.onnx'),
      /video file "..\/video.onnx" lies outside/,
    ],
    ['a path down and upwards', changed('files.video.path', 'a/../../b'), /lies outside the bundle/],
    ['an absolute path', changed('files.text.path', '/etc/passwd'), /text file "\/etc\/passwd" lies outside/],
    ['a licence outside', changed('license.path', '../LICENSE'), /license file .* lies outside/],
    ['a file that is not there', changed('files.video.path', 'x.onnx'), /video file .*x.onnx: not found/],
    ['a folder for a file', changed('files.video.path', 'weights'), /video file .*weights (is not a|has)/],
    ['another size', changed('files.text.bytes', 9), /text file .* has 15 bytes, model.json says 9/],
    [
      'another hash',
      changed('files.text.sha256', '0'.repeat(64)),
      /text file .* has SHA-256 [0-9a-f]{64}, .* says 0{64}/,
    ],
  ]
  test.each(wrong)('with %s is refused', async (_, json, message) => {
    await expect(loadBundle(writeBundle(json))).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(message),
    })
  })

  test('refuses a symbolic link that leads out of the folder', async () => {
    const directory = writeBundle(changed('files.video.path', 'link.onnx'))
    const outside = join(makeFolder(), 'video.onnx')
    writeFileSync(outside, contents['video.onnx'] as string)
    symlinkSync(outside, join(directory, 'link.onnx'))
    await expect(loadBundle(directory)).rejects.toMatchObject({
      message: expect.stringContaining('lies outside'),
    })
  })

  test.each([
    ['no folder', () => join(makeFolder(), 'nowhere'), /model folder .*nowhere: not found$/],
    [
      'a hub id where a folder is meant',
      () => 'nvidia/Cosmos-Embed1-224p',
      /not found\. .*cosmos-embed export --checkpoint nvidia\/Cosmos-Embed1-224p --out DIR$/,
    ],
    [
      'a checkpoint where a bundle is meant',
      () => {
        const folder = makeFolder()
        writeFileSync(join(folder, 'config.json'), '{}')
        return folder
      },
      /model\.json: not found\. .*cosmos-embed export --checkpoint/,
    ],
    ['no model.json', makeFolder, /model.json: not found/],
  ])('%s', async (_, make, message) => {
    await expect(loadBundle(make())).rejects.toMatchObject({
      code: 'model',
      message: expect.stringMatching(message),
    })
  })

  test('an aborted load rejects with the reason, before and while hashing', async () => {
    const directory = writeBundle()
    await expect(loadBundle(directory, { signal: AbortSignal.abort('no') })).rejects.toBe('no')
    const controller = new AbortController()
    const loading = loadBundle(directory, { signal: controller.signal })
    setImmediate(() => controller.abort('changed my mind'))
    await expect(loading).rejects.toBe('changed my mind')
  })
})

describe('hashes', () => {
  const damage = (directory: string, name: string) => {
    const path = join(directory, name)
    const bytes = readFileSync(path)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
    writeFileSync(path, bytes)
  }

  test('detects a changed byte, also after a successful load', async () => {
    for (const name of ['video.onnx', 'weights/video.data']) {
      const directory = writeBundle()
      await loadBundle(directory)
      damage(directory, name)
      // Sets a different time, because the file system's clock may be coarse.
      utimesSync(join(directory, name), 1_700_000_000, 1_700_000_000)
      await expect(loadBundle(directory)).rejects.toMatchObject({
        message: expect.stringContaining('SHA-256'),
      })
    }
  })

  test('detects a truncated file by its size', async () => {
    const directory = writeBundle()
    truncateSync(join(directory, 'weights/video.data'), 1_000_000)
    await expect(loadBundle(directory)).rejects.toMatchObject({
      message: expect.stringMatching(/video-data file .* has 1000000 bytes, model.json says 3000000/),
    })
  })

  test('are cached on disk for the next process', async () => {
    const directory = writeBundle()
    await loadBundle(directory)
    const stored = JSON.parse(readFileSync(cacheOf(cache), 'utf8'))
    const paths = Object.keys(stored.sha256).filter((key) => key.startsWith(directory))
    expect(paths).toHaveLength(4)
    // A new process trusts the stored hashes, so a false entry must make the load fail.
    const lie = Object.fromEntries(Object.keys(stored.sha256).map((key) => [key, 'f'.repeat(64)]))
    writeFileSync(cacheOf(cache), JSON.stringify({ version: 1, sha256: lie }))
    vi.resetModules()
    const fresh = await import('../../src/model/bundle.ts')
    await expect(fresh.loadBundle(directory)).rejects.toMatchObject({
      message: expect.stringContaining('ffff'),
    })
  })

  test.each(['', '{', '{"version":9,"sha256":{}}', '{"version":1,"sha256":{"a":5}}', 'null'])(
    'a broken cache (%j) is as good as none, and is replaced',
    async (content) => {
      mkdirSync(join(cache, 'cosmos-embed'))
      writeFileSync(cacheOf(cache), content)
      await loadBundle(writeBundle())
      expect(JSON.parse(readFileSync(cacheOf(cache), 'utf8'))).toMatchObject({ version: 1 })
    },
  )

  test('a cache folder that cannot be written is ignored', async () => {
    vi.stubEnv('XDG_CACHE_HOME', '/proc/nowhere')
    await expect(loadBundle(writeBundle())).resolves.toBeDefined()
    const file = join(makeFolder(), 'file')
    writeFileSync(file, '')
    chmodSync(file, 0o400)
    vi.stubEnv('XDG_CACHE_HOME', file)
    await expect(loadBundle(writeBundle())).resolves.toBeDefined()
    expect(existsSync(cacheOf(cache))).toBe(false)
  })

  test('loads at the same time do not disturb each other', async () => {
    const directories = Array.from({ length: 4 }, () => writeBundle())
    const bundles = await Promise.all(directories.map((directory) => loadBundle(directory)))
    expect(bundles.map(({ directory }) => directory)).toEqual(directories)
    expect(JSON.parse(readFileSync(cacheOf(cache), 'utf8')).version).toBe(1)
  })
})
