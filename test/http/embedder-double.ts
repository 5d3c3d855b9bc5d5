/**
 * An Embedder without a model, which a test can overload, make wait or fail, and close. It admits, cancels and closes calls
 * as the real one does, with the same errors at the same moments: embedder-double.test.ts runs both through the same cases.
 * Vectors are derived from the input alone, so equal inputs have equal unit vectors.
 */
import { createHash } from 'node:crypto'
import {
  DeviceLostError,
  type Embedder,
  type EmbedderInfo,
  type EmbedderStatus,
  type EmbedRequest,
  type EmbedResponse,
  InvalidRequestError,
  type ItemEvent,
  type Segment,
  type SegmentOptions,
  type Video,
} from 'cosmos-embed'
import { CallsDouble } from './calls-double.ts'
import { type DoubleFacts, fixedStats, infoOf } from './double-facts.ts'

export interface DoubleOptions extends Partial<DoubleFacts> {
  /** What `segments` yields. Default: two segments. */
  segments?: (video: Video, options: SegmentOptions) => AsyncGenerator<Segment, void, undefined>
  /**
   * Runs in place of the work of every `embed`, once the request is admitted. The call fails with what it throws. `signal`
   * aborts when the caller cancels and when the embedder closes.
   */
  before?: (request: EmbedRequest, signal: AbortSignal) => Promise<void> | void
}

export interface EmbedderDouble extends Embedder {
  /** The requests that `embed` has admitted. */
  readonly requests: EmbedRequest[]
  /** Notifies the observers of an item that has ended. */
  emit(event: Partial<ItemEvent>): void
  /** Loses the device, as a driver error does: running and later calls fail with DeviceLostError. */
  lose(reason: string): void
}

const noTimings = { download: 0, open: 0, decode: 0, convert: 0, queue: 0, encode: 0, total: 0 }

export function doubleEmbedder(options: DoubleOptions = {}): EmbedderDouble {
  const { servedNames = ['double'], dimension = 8, device = 'cpu', limits = {}, decoders } = options
  const { before = () => {}, segments = twoSegments } = options
  const info = infoOf({ servedNames, dimension, device, limits, decoders })
  const requests: EmbedRequest[] = []
  const listeners = new Set<(event: ItemEvent) => void>()
  const calls = new CallsDouble(info.limits.input)
  const { frames, height, width } = info.model

  const embed = (request: EmbedRequest, given?: object) =>
    calls.run(given, ['onProgress'], async (call) => {
      const inputs = checkedInputs(request, info)
      await call.admit(inputs.map(bytesOf), request.request_type === 'query' ? 'query' : 'bulk')
      requests.push(request)
      await before(request, call.signal)
      return responseOf(request, inputs, info)
    })

  const unsupported = (name: string) => () => {
    throw new Error(`the double does not support ${name}`)
  }

  return {
    requests,
    emit: (event) => {
      for (const listener of listeners) {
        listener({ kind: 'text', priority: 'query', outcome: 'ok', timings: noTimings, ...event })
      }
    },
    lose: (reason) => calls.lose(new DeviceLostError(reason)),
    embed: embed as Embedder['embed'],
    embedText: (text, given) =>
      calls.run(given, ['priority'], async (call) => {
        await call.admit([0])
        const embedding = unitVector(text, dimension)
        return { kind: 'text', embedding, tokens: 1, truncated: false, warnings: [], timings: noTimings }
      }),
    embedVideo: (video, given) =>
      calls.run(given, ['priority', 'start', 'end', 'frameRule', 'frameTolerance'], async (call) => {
        await call.admit([bytesOf(video)])
        return { ...videoFacts, kind: 'frames', embedding: unitVector('video', dimension), frames: [] }
      }),
    frames: (video, given) =>
      calls.run(
        given,
        ['priority', 'images', 'start', 'end', 'frameRule', 'frameTolerance'],
        async (call) => {
          await call.admit([bytesOf(video)])
          const clip = new Uint8Array(frames * 3 * height * width)
          const media = { width, height, duration: 1 } as never
          return { ...videoFacts, frames: [], images: [], clip, media }
        },
      ),
    segments: (video, given) =>
      calls.iterate(given, (signal) => segments(video, { ...given, signal }), [bytesOf(video)]),
    embedMany: unsupported('embedMany'),
    embedStream: unsupported('embedStream'),
    embedImage: unsupported('embedImage'),
    classify: unsupported('classify'),
    info: () => structuredClone(info),
    status: (): EmbedderStatus => ({ ...calls.status }),
    stats: () => ({
      ...fixedStats,
      ...(decoders && { decoders }),
      requests: { ...calls.outcomes },
      inFlight: calls.inFlight,
    }),
    observe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    dispose: (given) => calls.dispose(given),
    [Symbol.asyncDispose]: () => calls.dispose(),
  }
}

const videoFacts = { media: {} as never, warnings: [], timings: noTimings }

/** Throws InvalidRequestError. The rules in detail are tested on the real embedder. */
function checkedInputs({ input, model }: EmbedRequest, { model: served, limits }: EmbedderInfo) {
  const inputs = [input].flat()
  if (model !== undefined && !served.servedNames.includes(model)) {
    throw new InvalidRequestError(`model "${model}" is not loaded here`, { details: { field: 'model' } })
  }
  if (inputs.length === 0 || inputs.length > limits.input.maxItems) {
    throw new InvalidRequestError(`supports maximum ${limits.input.maxItems} inputs per request`)
  }
  return inputs
}

function responseOf(
  request: EmbedRequest,
  inputs: readonly unknown[],
  { model }: EmbedderInfo,
): EmbedResponse {
  const videos = inputs.filter((input) => typeof input !== 'string' || input.startsWith('data:')).length
  const texts = inputs.length - videos
  return {
    object: 'list',
    data: inputs.map((input, index) => {
      const vector = unitVector(input, model.embeddingDim)
      const base64 = Buffer.from(vector.buffer).toString('base64')
      return {
        object: 'embedding',
        index,
        embedding: request.encoding_format === 'base64' ? base64 : vector,
      }
    }),
    model: model.id,
    usage: { num_videos: videos, prompt_tokens: texts, total_tokens: texts },
    warnings: [],
    timings: { ...noTimings, total: 1.25, encode: 1 },
  }
}

/** The segment at `index`, with the requested window and stride, and a vector that depends on the index. */
export function segmentAt(index: number, options: SegmentOptions): Segment {
  const { windowSeconds = 1, strideSeconds = windowSeconds } = options
  const start = index * strideSeconds
  const embedding = unitVector(`segment ${index}`, 8)
  return { ...videoFacts, kind: 'video', start, end: start + windowSeconds, embedding, frames: [] }
}

async function* twoSegments(
  _video: Video,
  options: SegmentOptions,
): AsyncGenerator<Segment, void, undefined> {
  yield segmentAt(0, options)
  yield segmentAt(1, options)
}

export function unitVector(input: unknown, dimension: number): Float32Array {
  const hash = createHash('sha512')
  for (const part of partsOf(input)) hash.update(part)
  const bytes = hash.digest()
  const vector = Float32Array.from({ length: dimension }, (_, at) => (bytes[at % 64] ?? 0) - 127.5)
  const norm = Math.hypot(...vector)
  return vector.map((value) => value / norm)
}

function partsOf(input: unknown): (string | Uint8Array)[] {
  if (typeof input === 'string' || input instanceof Uint8Array) return [input]
  return Object.values(input as object).flatMap(partsOf)
}

/** Bytes of media that an input holds in memory. */
function bytesOf(input: unknown): number {
  if (input instanceof Uint8Array) return input.byteLength
  if (typeof input !== 'object' || input === null || input instanceof URL) return 0
  return Object.values(input).reduce<number>((sum, part) => sum + bytesOf(part), 0)
}
