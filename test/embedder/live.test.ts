/** Live streams end to end: the vectors of their windows are those of the recorded file. */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  createEmbedder,
  type Embedder,
  type LiveOptions,
  type LiveSegment,
  type Segment,
} from '../../src/index.ts'
import { run } from '../cli/support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'live-'))
const noFfmpeg = spawnSync('ffmpeg', ['-version']).status !== 0
if (noFfmpeg)
  console.warn('skipped: tests of live streams, because there is no ffmpeg program to make them with')

const openGop = [
  '-c:v',
  'libx264',
  '-bf',
  '3',
  '-x264-params',
  'open-gop=1:scenecut=0',
  '-preset',
  'veryfast',
]
const closedGop = ['-c:v', 'libx264', '-bf', '2', '-preset', 'veryfast']
const fragments = ['-movflags', 'frag_keyframe+empty_moov+default_base_moof']

/** Name, pictures per second, keyframe interval, further options of ffmpeg. */
const streams: [string, string, number, string[]][] = [
  ['closed.ts', '25', 25, closedGop],
  ['open.ts', '25', 20, openGop],
  ['ntsc.ts', '30000/1001', 47, openGop],
  ['mpeg2.ts', '25', 12, ['-c:v', 'mpeg2video', '-bf', '2']],
  ['closed.mp4', '25', 25, [...closedGop, ...fragments]],
  ['open.mp4', '25', 20, [...openGop, ...fragments]],
  ['cmaf.mp4', '24000/1001', 33, [...closedGop, '-movflags', 'cmaf+frag_keyframe']],
  ['picture-by-picture.mp4', '25', 30, [...closedGop, '-movflags', 'frag_every_frame+empty_moov+dash']],
]

function make(
  [name, rate, gop, options]: (typeof streams)[number],
  seconds: number,
  ...input: string[]
): string {
  const file = path.join(folder, name)
  const video = ['-f', 'lavfi', '-i', `testsrc2=size=96x64:rate=${rate}:duration=${seconds}`]
  const audio = ['-f', 'lavfi', '-i', `sine=duration=${seconds}`, '-c:a', 'aac']
  const rest = ['-g', String(gop), ...options, '-pix_fmt', 'yuv420p', ...input]
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...video, ...audio, ...rest, file])
  return file
}

/** The bytes in chunks of changing lengths, which end anywhere. */
async function* inChunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 40_009) {
    yield bytes.subarray(at, at + size)
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

function expectSame(live: LiveSegment[], whole: Segment[]): void {
  const facts = ({ start, end, frames, media, warnings }: Segment) => ({
    start: start.toFixed(4),
    end: end.toFixed(4),
    frames: frames.map(({ index, pts, keyframe }) => [index, Math.round(pts * 1e6), keyframe]),
    damaged: media.damaged,
    warnings,
  })
  expect(live.map(facts)).toEqual(whole.map(facts))
  for (const [i, { embedding }] of live.entries()) {
    const other = whole[i]?.embedding as Float32Array
    expect(embedding.reduce((sum, value, k) => sum + value * (other[k] as number), 0)).toBeGreaterThan(
      0.99999,
    )
  }
}

describe.skipIf(noFfmpeg)('a live stream', () => {
  let embedder: Embedder
  const files: Record<string, string> = {}

  beforeAll(async () => {
    embedder = await createEmbedder({ device: 'cpu', urls: { private: [], allow: ['127.0.0.1'] } })
    for (const stream of streams) files[stream[0]] = make(stream, 6.7)
  })
  afterAll(async () => {
    await embedder?.dispose()
    rmSync(folder, { recursive: true, force: true })
  })

  const live = (bytes: Uint8Array, options: LiveOptions) =>
    collect(embedder.live(inChunks(bytes), { drop: 'none', ...options }))

  it.each(streams.map(([name]) => name))('has the vectors of the recorded file: %s', async (name) => {
    const file = files[name] as string
    for (const [windowSeconds, strideSeconds, frameRule] of [
      [2, 2, 'card'],
      [1.5, 0.7, 'curator'],
      [0.8, 1.9, 'rounded'],
      [20, 20, 'card'],
    ] as const) {
      const windows = { windowSeconds, strideSeconds, frameRule }
      const whole = await collect(embedder.segments(file, windows))
      const found = await live(readFileSync(file), windows)
      expectSame(found, whole)
      expect(found.every(({ dropped, discontinuity }) => dropped === 0 && !discontinuity)).toBe(true)
      expect(found.every(({ lagSeconds }) => lagSeconds >= 0 && lagSeconds < 60)).toBe(true)
    }
  })

  it('is joined in the middle, at any byte', async () => {
    for (const name of ['open.ts', 'closed.ts', 'mpeg2.ts']) {
      const bytes = readFileSync(files[name] as string)
      const tail = bytes.subarray(Math.floor(bytes.length / 3) + 11)
      const [whole, found] = [
        await collect(embedder.segments(tail, { windowSeconds: 1 })),
        await live(tail, { windowSeconds: 1 }),
      ]
      // A recording shows no picture before its first keyframe either.
      expectSame(found.slice(0, 3), whole.slice(0, 3))
    }
  })

  it('goes on over the wrap of the clock', async () => {
    // 2^33 ticks are 95443.7 s.
    const file = make(['wrap.ts', '25', 25, closedGop], 6, '-output_ts_offset', '95441')
    const windows = { windowSeconds: 1.5 }
    expectSame(await live(readFileSync(file), windows), await collect(embedder.segments(file, windows)))
  })

  it('begins a new row of windows where the format or the clock changes', async () => {
    const [one, two] = ['closed', 'open'].map((name) => readFileSync(files[`${name}.ts`] as string)) as [
      Buffer,
      Buffer,
    ]
    const found = await live(Buffer.concat([one, two]), { windowSeconds: 2 })
    const parts = await Promise.all([live(one, { windowSeconds: 2 }), live(two, { windowSeconds: 2 })])
    // 168 pictures, of which the last 18 fill less than half a window.
    const seconds = 6.72
    expect(found.map(({ start }) => start.toFixed(2))).toEqual(
      [...parts[0].map(({ start }) => start), ...parts[1].map(({ start }) => start + seconds)].map((at) =>
        at.toFixed(2),
      ),
    )
    expect(found.map(({ discontinuity }) => discontinuity).indexOf(true)).toBe(parts[0].length)
    const other = [files['closed.mp4'], files['open.mp4']].map((file) => readFileSync(file as string))
    const fragmented = await live(Buffer.concat(other), { windowSeconds: 2 })
    expect(fragmented.filter(({ discontinuity }) => discontinuity)).toHaveLength(1)
    // An init segment that is repeated is no change.
    const again = other[0] as Buffer
    const moov = again.indexOf('moov') - 4
    const init = again.subarray(0, moov + again.readUInt32BE(moov))
    const moof = again.indexOf('moof', again.indexOf('moof') + 4) - 4
    const repeated = Buffer.concat([again.subarray(0, moof), init, again.subarray(moof)])
    expectSame(await live(repeated, { windowSeconds: 2 }), await live(again, { windowSeconds: 2 }))
  })

  it('comes from a pipe, a file, a web stream or a response', async () => {
    const file = files['closed.ts'] as string
    const expected = await live(readFileSync(file), { windowSeconds: 2 })
    const ffmpeg = spawn('ffmpeg', ['-v', 'error', '-i', file, '-an', '-c', 'copy', '-f', 'mpegts', '-'])
    onTestFinished(() => void ffmpeg.kill())
    const options = { windowSeconds: 2, drop: 'none' } as const
    const web = () => Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>
    for (const source of [ffmpeg.stdout, createReadStream(file), web(), new Response(web())]) {
      expectSame(await collect(embedder.live(source, options)), expected)
    }
  })

  it('comes from a URL, under the policy, without an end in time or bytes', async () => {
    const bytes = readFileSync(files['closed.mp4'] as string)
    const closed = { count: 0 }
    const server: Server = createServer((request, response) => {
      response.on('close', () => closed.count++)
      response.write(bytes)
      if (request.url === '/ends') response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const source = new URL('/endless', origin)
    await expect(collect(embedder.live(source, { windowSeconds: 1 }))).rejects.toMatchObject({
      code: 'blocked_url',
    })
    const near = await createEmbedder({
      device: 'cpu',
      urls: { http: [origin], private: [origin] },
      limits: { downloadTimeoutMs: 1, idleTimeoutMs: 1, maxMediaBytes: 1 },
    })
    onTestFinished(() => near.dispose())
    const windows = { windowSeconds: 2, drop: 'none' } as const
    const whole = await collect(near.live(new URL('/ends', origin), windows))
    expectSame(whole, await live(bytes, windows))
    for await (const { start } of near.live(source, windows)) if (start === 2) break
    await expect.poll(() => closed.count).toBe(2)
    const stalled = near.live(source, { ...windows, stallSeconds: 0.2 })
    await expect(collect(stalled)).rejects.toMatchObject({ code: 'download_failed', message: /sent nothing/ })
    expect(near.stats().inFlight).toEqual({ items: 0, bytes: 0, requests: 0 })
  })

  it('is printed line by line at a shell', async () => {
    const bytes = readFileSync(files['closed.mp4'] as string)
    const command = ['live', '-', '--window', '2', '--stride', '1', '--drop', 'none', '--device', 'cpu']
    const { code, stdout } = await run(command, undefined, [bytes.subarray(0, 5000), bytes.subarray(5000)])
    expect(code).toBe(0)
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const found = await live(bytes, { windowSeconds: 2, strideSeconds: 1 })
    expect(lines.map(({ start, end }) => [start, end])).toEqual(found.map(({ start, end }) => [start, end]))
    expect(lines[0]).toMatchObject({ dropped: 0, discontinuity: false, lagSeconds: expect.any(Number) })
    expect(lines[0].embedding).toHaveLength(256)
    expect((await run(['live', 'clip.ts'])).stderr).toContain('expected an http(s) URL or -')
    expect((await run(['live', '-', '--drop', 'all'])).stderr).toContain('--drop: expected oldest or none')
  })

  it('is decoded in processes of its own', async () => {
    const isolated = await createEmbedder({ device: 'cpu', decode: { isolation: 'process' } })
    onTestFinished(() => isolated.dispose())
    const bytes = readFileSync(files['open.ts'] as string)
    const options = { windowSeconds: 1.5, drop: 'none' } as const
    const found = await collect(isolated.live(inChunks(bytes), options))
    expectSame(found, await live(bytes, options))
  })
})
