import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkLimits, type LimitsInput } from '../../src/source/limits.ts'
import type { ByteStream } from '../../src/source/source.ts'
import { createSources } from '../../src/source/sources.ts'
import { closeServers, serve, toLoopback } from './downloads.ts'

const folder = mkdtempSync(join(tmpdir(), 'cosmos-embed-source-'))
const file = (name: string) => join(folder, name)
const sources = createSources()
const video = (path: string) => sources.video({ type: 'path', path })

beforeAll(() => {
  writeFileSync(file('clip.mp4'), 'twelve bytes')
  writeFileSync(file('empty.mp4'), '')
  mkdirSync(file('folder'))
  symlinkSync(file('clip.mp4'), file('link.mp4'))
  symlinkSync(file('loop'), file('loop'))
  execFileSync('mkfifo', [file('fifo')])
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('a file', () => {
  test.each(['clip.mp4', 'link.mp4', 'folder/../clip.mp4'])(
    '%s is handed on by absolute path, unread',
    async (name) => {
      const expected = { media: { path: join(folder, name) }, bytes: 0 }
      expect(await video(`${folder}/${name}`)).toEqual(expected)
      expect(await video(relative(process.cwd(), `${folder}/${name}`))).toEqual(expected)
    },
  )

  test.each([
    ['missing.mp4', /missing.mp4: no such file/],
    ['clip.mp4/inside', /no such file: a part of the path is not a directory/],
    ['folder', /folder is a directory: expected a regular file/],
    ['fifo', /fifo is a FIFO: expected a regular file/],
    ['empty.mp4', /empty.mp4 is empty/],
    ['loop', /too many symbolic links/],
    [`${'x'.repeat(300)}.mp4`, /the path is too long/],
    ['clip.mp4\0.png', /NUL/],
  ])('%j is refused', async (name, message) => {
    await expect(video(file(name))).rejects.toMatchObject({
      code: 'source',
      status: 422,
      message: expect.stringMatching(message),
    })
  })

  test('opens neither devices nor sockets', async () => {
    await expect(video('/dev/zero')).rejects.toMatchObject({ message: expect.stringContaining('a device') })
    const server = createServer().listen(file('socket'))
    await expect(video(file('socket'))).rejects.toMatchObject({
      message: expect.stringContaining('a socket'),
    })
    server.close()
  })

  test.skipIf(process.getuid?.() === 0)(
    'that may not be read is told (root may read everything)',
    async () => {
      writeFileSync(file('locked.mp4'), 'x')
      chmodSync(file('locked.mp4'), 0)
      await expect(video(file('locked.mp4'))).rejects.toMatchObject({
        message: expect.stringContaining('permission'),
      })
    },
  )
})

describe('bytes', () => {
  test('are passed on unchanged', async () => {
    const bytes = Uint8Array.of(1, 2, 3)
    const resolved = await sources.video({ type: 'bytes', bytes })
    expect(resolved).toEqual({ media: { bytes }, bytes: 3, borrowed: true })
    expect('bytes' in resolved.media && resolved.media.bytes).toBe(bytes)
  })

  test('must not be empty', async () => {
    const bytes = new Uint8Array()
    await expect(sources.video({ type: 'bytes', bytes })).rejects.toMatchObject({ code: 'source' })
  })
})

describe('a stream', () => {
  const limited = createSources({ limits: { maxMediaBytes: 1_000_000 } })
  const collect = async (stream: ByteStream, signal?: AbortSignal) => {
    const { media } = await limited.video({ type: 'stream', stream }, { signal })
    return 'bytes' in media ? Buffer.from(media.bytes) : undefined
  }
  const chunks = Array.from({ length: 40 }, (_, index) => Buffer.alloc(index * 613, index))
  async function* generate(values: unknown[]): AsyncGenerator<Uint8Array> {
    for (const value of values) yield value as Uint8Array
  }
  /** Yields one buffer again and again, as a loop around `read` does. */
  async function* reusing(values: Uint8Array[], size: number): AsyncGenerator<Uint8Array> {
    const all = Buffer.concat(values)
    const buffer = Buffer.alloc(size)
    for (let at = 0; at < all.length; at += size) {
      yield buffer.subarray(0, all.copy(buffer, 0, at))
      if (at % 3 === 0) await null
    }
  }
  /** Has the methods of a web stream and is none of this runtime. */
  const polyfilled = (values: Uint8Array[]) => {
    const iterator = generate(values)
    const reader = { read: () => iterator.next(), cancel: async () => {}, releaseLock: () => {} }
    return { locked: false, getReader: () => reader } as unknown as ByteStream
  }
  const web = (values: Uint8Array[]) => Readable.toWeb(Readable.from(values)) as unknown as ByteStream

  test.each([
    ['Readable', () => Readable.from(chunks)],
    ['web stream', () => web(chunks)],
    ['async generator', () => generate(chunks)],
    ['bare async iterable', () => ({ [Symbol.asyncIterator]: () => generate(chunks) })],
    ['polyfilled web stream', () => polyfilled(chunks)],
    ['generator with one buffer', () => reusing(chunks, 4096)],
    ['generator with one small buffer', () => reusing(chunks, 7)],
  ])('of kind %s is collected', async (_, make) => {
    expect((await collect(make()))?.equals(Buffer.concat(chunks))).toBe(true)
  })

  test('is accepted up to exactly the limit, and is always closed', async () => {
    const whole = Readable.from([Buffer.alloc(999_999), Buffer.alloc(1)])
    expect(await collect(whole)).toHaveLength(1_000_000)
    let closed = false
    async function* long() {
      try {
        for (;;) yield Buffer.alloc(250_000)
      } finally {
        closed = true
      }
    }
    await expect(collect(long())).rejects.toMatchObject({
      code: 'limit',
      details: { limit: 1_000_000 },
    })
    expect([closed, whole.destroyed]).toEqual([true, true])
  })

  test.each([
    ['fails', () => Readable.from(generateFailure()), /failed before its end/],
    ['was destroyed', () => Readable.from([Buffer.alloc(1)]).destroy(), /failed before its end/],
    ['yields text', () => Readable.from(['text']), /yields string, expected Uint8Array/],
    ['yields objects', () => generate([{ data: 1 }]), /yields object, expected Uint8Array/],
    [
      'is locked',
      () => {
        const locked = new Blob(['x']).stream()
        locked.getReader()
        return locked as unknown as ByteStream
      },
      /the stream is locked/,
    ],
    ['ends at once', () => Readable.from([]), /without a single byte/],
  ])('that %s is refused', async (_, make, message) => {
    await expect(collect(make())).rejects.toMatchObject({
      code: 'source',
      message: expect.stringMatching(message),
    })
  })
  /** Cannot be interrupted; counts as closed once it was read from. */
  async function* stall(asked: () => void): AsyncGenerator<Uint8Array> {
    asked()
    await new Promise(() => {})
  }
  async function* generateFailure() {
    yield Buffer.alloc(10)
    throw new Error('disk on fire')
  }

  test.each(['Readable', 'web stream', 'generator'])(
    'of kind %s that stalls is given up on abort, and closed',
    async (kind) => {
      const reason = { because: kind }
      const controller = new AbortController()
      let closed = () => {}
      const closing = new Promise<void>((resolve) => {
        closed = resolve
      })
      const stalled: Record<string, () => ByteStream> = {
        Readable: () => new Readable({ read() {} }).once('close', () => closed()),
        'web stream': () =>
          new ReadableStream<Uint8Array>({ cancel: () => closed() }) as unknown as ByteStream,
        generator: () => stall(() => closed()),
      }
      const collecting = collect((stalled[kind] as () => ByteStream)(), controller.signal)
      setTimeout(() => controller.abort(reason), 10)
      await expect(collecting).rejects.toBe(reason)
      await closing
    },
  )
})

describe('the pictures of a clip', () => {
  test('may come from different sources, and stay in order', async () => {
    const { origin } = await serve((request, response) => setTimeout(() => response.end(request.url), 20))
    const image = { width: 1, height: 1, data: new Uint8Array(3) }
    const remote = createSources({ resolve: toLoopback, urls: { private: [origin] } })
    const { images, bytes } = await remote.frames([
      { type: 'url', url: `${origin}/first` },
      { type: 'path', path: file('clip.mp4') },
      { type: 'bytes', bytes: Buffer.from('third') },
      { type: 'image', image },
    ])
    expect(images.slice(0, 3).map((each) => Buffer.from(each as Uint8Array).toString())).toEqual([
      '/first',
      'twelve bytes',
      'third',
    ])
    expect(images[3]).toBe(image)
    expect(bytes).toBe(6 + 12 + 5 + 3)
    await closeServers()
  })

  test('share the limit of one item', async () => {
    const path = file('clip.mp4')
    const limited = createSources({ limits: { maxMediaBytes: 24 } })
    const frames = (n: number) => limited.frames(Array(n).fill({ type: 'path', path }))
    await expect(frames(2)).resolves.toMatchObject({ bytes: 24 })
    await expect(frames(3)).rejects.toMatchObject({ code: 'limit', details: { limit: 8 } })
  })

  test('fail together: one failure cancels the other reads', async () => {
    let closed: (value: unknown) => void = () => {}
    const closing = new Promise((resolve) => {
      closed = resolve
    })
    let refuse = () => {}
    let arrived = 0
    const { origin } = await serve((request, response) => {
      if (request.url === '/missing') refuse = () => response.writeHead(404).end()
      else request.socket.on('close', closed)
      // Responds only once both requests have arrived.
      if (++arrived === 2) refuse()
    })
    const remote = createSources({ resolve: toLoopback, urls: { private: [origin] } })
    const frames = remote.frames([
      { type: 'url', url: `${origin}/never` },
      { type: 'url', url: `${origin}/missing` },
    ])
    await expect(frames).rejects.toMatchObject({ code: 'download_rejected' })
    await closing
    await closeServers()
  })

  test('reject with the reason of an abort', async () => {
    const frames = sources.frames([{ type: 'path', path: file('clip.mp4') }], {
      signal: AbortSignal.abort('gone'),
    })
    await expect(frames).rejects.toBe('gone')
  })
})

describe('limits', () => {
  test('each has a default and can be set alone', () => {
    const defaults = checkLimits({})
    expect(checkLimits(undefined)).toEqual(defaults)
    for (const name of Object.keys(defaults)) {
      expect(checkLimits({ [name]: 7 })).toEqual({ ...defaults, [name]: 7 })
    }
  })

  test.each([
    [{ maxItems: 0 }, /limits.maxItems: .*found 0/],
    [{ maxMediaBytes: 1.5 }, /limits.maxMediaBytes: .*found 1.5/],
    [{ idleTimeoutMs: 2 ** 31 }, /limits.idleTimeoutMs/],
    [{ maxItem: 3 }, /limits: unknown field "maxItem"/],
  ])('%j is refused', (limits, message) => {
    expect(() => createSources({ limits: limits as LimitsInput })).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(message) }),
    )
  })
})
