/** End to end through the public API: encoded files, the addon, ONNX Runtime and the demo model. */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEmbedder, type Embedder, embed, type Segment } from '../../src/index.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-'))
const noFfmpeg = spawnSync('ffmpeg', ['-version']).status !== 0
if (noFfmpeg) console.warn('skipped: end-to-end tests, because there is no ffmpeg program to make media with')

const root = fileURLToPath(new URL('../..', import.meta.url))
const examples = path.join(root, 'examples/clips')

function ffmpeg(...args: string[]): string {
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  return args.at(-1) ?? ''
}

/** A test video that moves and changes colour, starting from `hue`. */
function testVideo(name: string, seconds: number, hue = 0): string {
  return ffmpeg(
    ...['-f', 'lavfi', '-i', `testsrc2=size=192x108:rate=25:duration=${seconds},hue=h=${hue}`],
    ...[
      '-c:v',
      'libx264',
      '-preset',
      'ultrafast',
      '-g',
      '25',
      '-pix_fmt',
      'yuv420p',
      path.join(folder, name),
    ],
  )
}

/** Cosine similarity of unit vectors. */
function cosine(a: Float32Array | undefined, b: Float32Array | undefined): number {
  if (!a || !b) return Number.NaN
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? Number.NaN), 0)
}

const SAME = 0.99999
const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('should have failed'),
    (failure) => failure,
  )

describe.skipIf(noFfmpeg)('the embedder with the demo model', () => {
  let embedder: Embedder
  let videos: string[]
  /** Takes long to decode: an hour of pictures that reference each other. */
  let endless: string

  beforeAll(async () => {
    embedder = await createEmbedder()
    videos = [0, 60, 120, 180, 240, 300].map((hue, i) => testVideo(`${i}.mp4`, 1 + i / 2, hue))
    endless = ffmpeg(
      '-stream_loop',
      '899',
      '-i',
      testVideo('4s.mp4', 4),
      '-c',
      'copy',
      path.join(folder, 'endless.mkv'),
    )
  })
  afterAll(async () => {
    await embedder?.dispose()
    rmSync(folder, { recursive: true, force: true })
  })

  function nothingLeft() {
    const idle = { waiting: 0, running: 0 }
    expect(embedder.stats()).toMatchObject({
      inFlight: { items: 0, bytes: 0, requests: 0 },
      queues: { download: idle, decode: idle },
    })
  }

  it('describes itself', () => {
    const { model, engine, addon, device } = embedder.info()
    expect(model).toMatchObject({ frames: 8, height: 224, width: 224, embeddingDim: 256 })
    expect(engine).toMatchObject({ backend: 'onnxruntime', version: expect.stringMatching(/^\d+\.\d+/) })
    expect(addon.ffmpeg.avcodec).toMatch(/^\d+\./)
    expect(device.kind).toBe('cpu')
  })

  it.skipIf(!existsSync(examples))('finds videos by text', async () => {
    const captions = JSON.parse(readFileSync(path.join(examples, 'captions.json'), 'utf8'))
    const entries = Object.entries(captions as Record<string, { caption: string }>)
    const clips = await embedder.embedMany(entries.map(([file]) => ({ video: path.join(examples, file) })))
    const texts = await embedder.embed({
      request_type: 'bulk_text',
      input: entries.map(([, { caption }]) => caption),
    })
    const vectors = clips.map((clip) => (clip.status === 'fulfilled' ? clip.value.embedding : undefined))
    const found = texts.data.filter(({ embedding, index }) => {
      const scores = vectors.map((vector) => cosine(embedding, vector))
      return scores.indexOf(Math.max(...scores)) === index
    })
    expect(entries.length).toBeGreaterThanOrEqual(12)
    expect(found.length / entries.length).toBeGreaterThanOrEqual(0.75)
  })

  it('returns unit vectors, the same ones alone and in bulk', async () => {
    const bulk = await embedder.embed({
      request_type: 'bulk_video',
      input: videos.map((video) => ({ video })),
    })
    for (const [i, video] of videos.entries()) {
      const { embedding, frames, media } = await embedder.embedVideo(video)
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 5)
      expect(cosine(embedding, bulk.data[i]?.embedding)).toBeGreaterThanOrEqual(SAME)
      expect(frames.length).toBe(8)
      expect(media).toMatchObject({ codec: 'h264', width: 192, height: 108, decoder: 'software' })
    }
    expect(bulk.usage).toEqual({ num_videos: videos.length, prompt_tokens: 0, total_tokens: 0 })

    const sentences = [
      'a red circle',
      'two squares, one of them blue, pass each other',
      'star',
      'x '.repeat(300),
    ]
    const { data, usage, warnings } = await embedder.embed({ request_type: 'bulk_text', input: sentences })
    let tokens = 0
    for (const [i, sentence] of sentences.entries()) {
      const single = await embedder.embedText(sentence)
      expect(Math.hypot(...single.embedding)).toBeCloseTo(1, 5)
      expect(cosine(single.embedding, data[i]?.embedding)).toBeGreaterThanOrEqual(SAME)
      tokens += single.tokens
    }
    expect(usage.prompt_tokens).toBe(tokens)
    expect(warnings.map(({ index }) => index)).toEqual([3])
  })

  it('accepts the same video as path, URL, bytes, stream and data URI', async () => {
    const [video = ''] = videos
    const bytes = readFileSync(video)
    const all = await embedder.embedMany([
      { video },
      { video: new URL(`file://${video}`) },
      { video: bytes },
      { video: createReadStream(video, { highWaterMark: 1000 }) },
      { video: new Blob([bytes]) },
      { video: new Response(bytes) },
    ])
    const [first, ...others] = all.map((result) => {
      if (result.status === 'rejected') throw result.reason
      return result.value.embedding
    })
    for (const other of others) expect(cosine(first, other)).toBeGreaterThanOrEqual(SAME)
  })

  it('accepts pictures as the frames of a clip', async () => {
    const [video = ''] = videos
    ffmpeg(
      '-i',
      video,
      '-vf',
      "select='not(mod(n,3))'",
      '-frames:v',
      '8',
      '-vsync',
      '0',
      path.join(folder, 'frame-%d.png'),
    )
    const frames = Array.from({ length: 8 }, (_, i) => path.join(folder, `frame-${i + 1}.png`))
    const pictures = await embedder.embedVideo({ frames })
    expect(pictures.media.decoder).toBe('image')
    const inline = `data:video_frames/png;base64,{${frames.map((frame) => readFileSync(frame).toString('base64')).join(',')}}`
    const { data } = await embedder.embed({ request_type: 'bulk_video', input: [inline] })
    expect(cosine(pictures.embedding, data[0]?.embedding)).toBeGreaterThanOrEqual(SAME)
    // Frames 0, 3, …, 21 of 25 are those that the rule chooses for the video itself.
    expect(cosine(pictures.embedding, (await embedder.embedVideo(video)).embedding)).toBeGreaterThan(0.95)
  })

  it('embeds sixty-four videos in one request, decoding within its bounds', async () => {
    const input = Array.from({ length: 64 }, (_, i) => ({ video: videos[i % videos.length] ?? '' }))
    const stages: string[] = []
    const { data, timings } = await embedder.embed(
      { request_type: 'bulk_video', input },
      { onProgress: ({ stage, done, total }) => stages.push(`${stage} ${done}/${total}`) },
    )
    expect(data.map(({ index }) => index)).toEqual(input.map((_, i) => i))
    for (const [i, { embedding }] of data.entries()) {
      expect(cosine(embedding, data[i % videos.length]?.embedding)).toBeGreaterThanOrEqual(SAME)
    }
    expect(stages).toContain('decode 64/64')
    expect(stages.at(-1)).toBe('encode 64/64')
    expect(timings.decode).toBeGreaterThan(0)
    nothingLeft()
  })

  it('reads segments in one pass, each with the vector of its range', async () => {
    const video = videos[5] ?? ''
    const segments: Segment[] = []
    const options = { windowSeconds: 1, strideSeconds: 0.5, start: 0.5 }
    for await (const segment of embedder.segments(video, options)) segments.push(segment)
    expect(segments.slice(0, 3).map(({ start, end }) => [start, end])).toEqual([
      [0.5, 1.5],
      [1, 2],
      [1.5, 2.5],
    ])
    for (const { start, end, embedding, frames } of segments.slice(0, 3)) {
      const same = await embedder.embedVideo(video, { start, end })
      expect(frames.map(({ pts }) => pts)).toEqual(same.frames.map(({ pts }) => pts))
      expect(cosine(embedding, same.embedding)).toBeGreaterThanOrEqual(SAME)
    }
    nothingLeft()
  })

  it('closes the video when the loop over its segments is left', async () => {
    for await (const { start } of embedder.segments(endless, { windowSeconds: 2 })) if (start >= 4) break
    nothingLeft()
  })

  it('can be aborted in the middle of a decode', async () => {
    const controller = new AbortController()
    const reason = new Error('changed my mind')
    const failure = failureOf(embedder.embedVideo(endless, { signal: controller.signal }))
    while (embedder.stats().queues.decode.running === 0) await new Promise((resolve) => setImmediate(resolve))
    controller.abort(reason)
    expect(await failure).toBe(reason)
    nothingLeft()
  })

  it('distinguishes bad files from missing ones, and embeds the others', async () => {
    const notVideo = path.join(folder, 'words.mp4')
    writeFileSync(notVideo, 'These are words and not a video. '.repeat(100))
    const missing = path.join(folder, 'nothing.mp4')
    const settled = await embedder.embedMany([
      { video: notVideo },
      { video: missing },
      { video: videos[0] ?? '' },
      { video: readFileSync(notVideo) },
      { text: 'a red circle' },
    ])
    expect(settled).toMatchObject([
      { status: 'rejected', reason: { code: 'media', index: 0 } },
      { status: 'rejected', reason: { code: 'source', index: 1 } },
      { status: 'fulfilled' },
      { status: 'rejected', reason: { code: 'media', index: 3 } },
      { status: 'fulfilled' },
    ])
    const input = [{ video: videos[0] ?? '' }, { video: notVideo }]
    expect(await failureOf(embedder.embed({ request_type: 'bulk_video', input }))).toMatchObject({
      code: 'media',
      status: 422,
      index: 1,
    })
    nothingLeft()
  })

  it('can be disposed of at any time', async () => {
    const second = await createEmbedder()
    const resting = second.segments(endless, { windowSeconds: 1 })
    await resting.next()
    const running = [
      second.embedVideo(endless),
      second.embedMany(Array.from({ length: 100 }, (_, i) => ({ video: videos[i % videos.length] ?? '' }))),
      second.embed({ request_type: 'bulk_text', input: Array.from({ length: 64 }, (_, i) => `text ${i}`) }),
      resting.next(),
    ].map(failureOf)
    while (second.stats().queues.decode.running === 0) await new Promise((resolve) => setImmediate(resolve))
    await second.dispose()
    for (const failure of await Promise.all(running)) expect(failure).toMatchObject({ code: 'closed' })
    expect(second.stats().inFlight).toEqual({ items: 0, bytes: 0, requests: 0 })
    expect((await embedder.embedText('still here')).tokens).toBeGreaterThan(2)
  })

  it('shares one embedder among callers of embed(), and tries again after a failure', async () => {
    process.env.COSMOS_EMBED_ONNXRUNTIME = path.join(folder, 'no-such-library.so')
    expect(await failureOf(embed({ request_type: 'query', input: 'a' }))).toMatchObject({ code: 'library' })
    delete process.env.COSMOS_EMBED_ONNXRUNTIME
    const early = failureOf(
      embed({ request_type: 'query', input: 'a' }, { signal: AbortSignal.abort('early') }),
    )
    const { data } = await embed({ request_type: 'query', input: 'a red circle' })
    expect(await early).toBe('early')
    const wrong = { signal: 'none' } as unknown as { signal: AbortSignal }
    expect(await failureOf(embed({ request_type: 'query', input: 'a' }, wrong))).toMatchObject({
      code: 'invalid_argument',
    })
    expect(
      cosine(data[0]?.embedding, (await embedder.embedText('a red circle')).embedding),
    ).toBeGreaterThanOrEqual(SAME)
  })

  const run = (script: string) =>
    promisify(execFile)(
      process.execPath,
      [path.join(import.meta.dirname, 'children', script), videos[3] ?? ''],
      {
        timeout: 50_000,
        killSignal: 'SIGKILL',
      },
    )

  it('does not keep the process alive', async () => {
    expect((await run('exit.mjs')).stdout).toBe('256\nidle\n')
  })

  it('works in worker threads, and survives one that is terminated', async () => {
    expect((await run('workers.mjs')).stdout).toBe('true true\n')
  })
})
