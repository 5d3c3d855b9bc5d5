/** The `info()` of the double of an embedder, and the fixed part of its `stats()`. */
import type { DecoderStats, EmbedderInfo, EmbedderStats } from 'cosmos-embed'

const MiB = 1024 * 1024

export interface DoubleFacts {
  servedNames: string[]
  dimension: number
  device: 'cpu' | 'cuda'
  /** Replaces the defaults, as the limits of `createEmbedder` do. */
  limits: Partial<EmbedderInfo['limits']['input']>
  /** The processes that decode media. Default: none. */
  decoders?: DecoderStats | undefined
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

export function infoOf({ servedNames, dimension, device, limits, decoders }: DoubleFacts): EmbedderInfo {
  const walls = { systemCalls: true, network: true, files: true, memory: true }
  return {
    version: '0.0.0',
    device: device === 'cpu' ? { kind: 'cpu', reason: 'a double' } : cuda,
    ...(decoders && { decoders: { walls, outside: [] } }),
    model: {
      id: servedNames[0] as string,
      servedNames,
      variant: 'double',
      path: '/nowhere',
      frames: 8,
      height: 32,
      width: 32,
      embeddingDim: dimension,
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
        ...limits,
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
/** The figures that the double does not count. */
export const fixedStats: Omit<EmbedderStats, 'requests' | 'inFlight'> = {
  uptimeSeconds: 1,
  items: { text: 0, video: 0, frames: 0 },
  errors: {},
  cancelled: 0,
  tokens: 0,
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
