/**
 * An Embedder without a model, for what the real one cannot be made to do on command: fail, wait, lose its device.
 * What it answers is made from the input alone: equal inputs, equal unit vectors.
 */
import { createHash } from 'node:crypto'
import type {
  Embedder,
  EmbedderInfo,
  EmbedderStats,
  EmbedderStatus,
  EmbedRequest,
  EmbedResponse,
  ItemEvent,
  Segment,
  SegmentOptions,
  Video,
} from 'cosmos-embed'

export interface DoubleOptions {
  servedNames?: string[]
  dimension?: number
  device?: 'cpu' | 'cuda'
  /** What `segments` answers. Default: two segments. */
  segments?: (video: Video, options: SegmentOptions) => AsyncGenerator<Segment, void, undefined>
  /** Runs before every answer; what it throws is the answer. */
  before?: (request: EmbedRequest, signal: AbortSignal | undefined) => Promise<void> | void
}

export interface Double extends Embedder {
  /** What `embed` was called with. */
  readonly requests: EmbedRequest[]
  /** Tells the observers of an item that ended. */
  emit(event: Partial<ItemEvent>): void
  /** What `status` says from now on. */
  become(status: EmbedderStatus): void
}

const noTimings = { download: 0, open: 0, decode: 0, convert: 0, queue: 0, encode: 0, total: 0 }
const MiB = 1024 * 1024

export function doubleEmbedder(options: DoubleOptions = {}): Double {
  const { servedNames = ['double'], dimension = 8, before, segments = twoSegments } = options
  const requests: EmbedRequest[] = []
  const listeners = new Set<(event: ItemEvent) => void>()
  let status: EmbedderStatus = { ready: true }

  const embed = async (request: EmbedRequest, { signal }: { signal?: AbortSignal } = {}) => {
    requests.push(request)
    signal?.throwIfAborted()
    await before?.(request, signal)
    const inputs = [request.input].flat()
    const videos = inputs.filter((input) => typeof input !== 'string' || input.startsWith('data:')).length
    const response: EmbedResponse = {
      object: 'list',
      data: inputs.map((input, index) => {
        const vector = unitVector(input, dimension)
        const base64 = Buffer.from(vector.buffer).toString('base64')
        return {
          object: 'embedding',
          index,
          embedding: request.encoding_format === 'base64' ? base64 : vector,
        }
      }),
      model: servedNames[0] as string,
      usage: {
        num_videos: videos,
        prompt_tokens: inputs.length - videos,
        total_tokens: inputs.length - videos,
      },
      warnings: [],
      timings: { ...noTimings, total: 1.25, encode: 1 },
    }
    return response
  }

  return {
    requests,
    emit: (event) => {
      for (const listener of listeners) {
        listener({ kind: 'text', priority: 'query', outcome: 'ok', timings: noTimings, ...event })
      }
    },
    become: (next) => {
      status = next
    },
    embed: embed as Embedder['embed'],
    embedText: async (text) => {
      return {
        kind: 'text',
        embedding: unitVector(text, dimension),
        tokens: 1,
        truncated: false,
        warnings: [],
        timings: noTimings,
      }
    },
    embedVideo: async () => ({
      kind: 'frames',
      embedding: unitVector('video', dimension),
      frames: [],
      media: {} as never,
      warnings: [],
      timings: noTimings,
    }),
    ...(Object.fromEntries(
      (['embedMany', 'embedStream', 'embedImage', 'frames', 'classify'] as const).map((name) => [
        name,
        () => {
          throw new Error(`the adapter does not call ${name}`)
        },
      ]),
    ) as unknown as Pick<Embedder, 'embedMany' | 'embedStream' | 'embedImage' | 'frames' | 'classify'>),
    segments,
    info: () => info(servedNames, dimension, options.device),
    status: () => status,
    stats: () => stats,
    observe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    dispose: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
}

/** Of the length that is asked for, with a vector that tells its place. */
export function segmentAt(
  index: number,
  { windowSeconds, strideSeconds = windowSeconds }: SegmentOptions,
): Segment {
  const start = index * strideSeconds
  return {
    kind: 'video',
    start,
    end: start + windowSeconds,
    embedding: unitVector(`segment ${index}`, 8),
    frames: [],
    media: {} as never,
    warnings: [],
    timings: noTimings,
  }
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

const engine = {
  path: '/secret/engines/x.plan',
  precision: 'fp16' as const,
  maxBatch: 8,
  built: { at: '2026-01-01T00:00:00Z', gpu: 'NVIDIA Double', driver: '12.8', tensorrt: '10.9.0.34' },
}

const cuda: EmbedderInfo['device'] = {
  kind: 'cuda',
  reason: 'a double of /secret/libcuda.so.1',
  driver: { version: '12.8', library: '/secret/libcuda.so.1' },
  gpus: [
    {
      device: 0,
      name: 'NVIDIA Double',
      uuid: 'GPU-double',
      computeCapability: '9.0',
      memoryBytes: 80 * 1024 * MiB,
      engines: { video: engine, text: engine },
      nvdec: { engines: 7, reason: '', capabilities: [] },
    },
  ],
}

function info(
  servedNames: string[],
  embeddingDim: number,
  device: DoubleOptions['device'] = 'cpu',
): EmbedderInfo {
  return {
    version: '0.0.0',
    device: device === 'cpu' ? { kind: 'cpu', reason: 'a double' } : cuda,
    model: {
      id: servedNames[0] as string,
      servedNames,
      variant: 'double',
      path: '/nowhere',
      frames: 8,
      height: 32,
      width: 32,
      embeddingDim,
      maxTextTokens: 16,
      license: { name: 'Apache-2.0' },
      frameRule: 'card',
      fingerprint: 'double',
    },
    engine: { backend: 'double', version: '0', library: '' },
    addon: { version: '0', simd: 'none', ffmpeg: { avcodec: '0', avformat: '0', license: '' } },
    limits: {
      decodeConcurrency: 1,
      maxVideoBatch: 8,
      maxTextBatch: 64,
      input: {
        maxItems: 64,
        maxItemsInFlight: 64,
        maxBytesInFlight: 1024 * MiB,
        maxTextCharacters: 65_536,
        maxInlineBytes: 32 * MiB,
        maxMediaBytes: 96 * MiB,
        maxUrlCharacters: 8192,
        maxDownloads: 4,
        maxDownloadsPerHost: 4,
        connectTimeoutMs: 1000,
        headersTimeoutMs: 1000,
        idleTimeoutMs: 1000,
        minDownloadRate: 0,
        downloadTimeoutMs: 1000,
      },
      decode: {
        maxPixels: 1_000_000,
        maxStreams: 16,
        maxPacketsWithoutFrame: 1000,
        maxWallSeconds: 10,
        maxBytes: 1024 * MiB,
      },
    },
    urls: 'off',
  }
}

const summary = { count: 0, sum: 0, p50: 0, p95: 0, p99: 0, max: 0 }
const idle = { waiting: 0, running: 0 }
const stats: EmbedderStats = {
  uptimeSeconds: 1,
  requests: { total: 0, succeeded: 0, failed: 0, cancelled: 0, rejected: 0 },
  items: { text: 0, video: 0, frames: 0 },
  errors: {},
  cancelled: 0,
  tokens: 0,
  inFlight: { items: 0, bytes: 0, requests: 0 },
  queues: { download: idle, decode: idle, encode: idle },
  gpus: [
    {
      device: 0,
      nvdec: 3,
      software: 1,
      nvdecRunning: 2,
      nvdecWaiting: 5,
      decodersCreated: 1,
      decodersReused: 2,
      decodersReconfigured: 0,
      lost: false,
    },
  ],
  batches: { text: { count: 2, items: 5, sizes: { 1: 1, 4: 1 } }, video: { count: 0, items: 0, sizes: {} } },
  stages: {
    download: summary,
    open: summary,
    decode: summary,
    convert: summary,
    queue: summary,
    encode: summary,
    total: summary,
  },
}
