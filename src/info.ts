import { createHash } from 'node:crypto'
import type { NativeDiagnostics, NativeEngineInfo } from '#binding'
import type { ModelBundle } from './model/bundle.ts'
import type { ResolvedOptions } from './options.ts'
import type { Pipeline } from './pipeline.ts'
import type { EmbedderInfo } from './types.ts'
import { VERSION } from './version.ts'

export interface EmbedderFacts {
  options: ResolvedOptions
  /** Why this device. */
  reason: string
  bundle: ModelBundle
  engine: NativeEngineInfo
  diagnostics: NativeDiagnostics
  pipeline: Pipeline
}

export function describeEmbedder(facts: EmbedderFacts): EmbedderInfo {
  const { options, reason, bundle, engine, diagnostics, pipeline } = facts
  const { simd, ffmpeg } = diagnostics
  return {
    version: VERSION,
    device: { kind: 'cpu', reason },
    model: {
      id: bundle.id,
      servedNames: [...new Set([bundle.id, ...options.servedNames])],
      variant: bundle.variant,
      path: bundle.directory,
      frames: bundle.frames,
      height: bundle.height,
      width: bundle.width,
      embeddingDim: bundle.embeddingDim,
      maxTextTokens: bundle.maxTextTokens,
      license: bundle.license,
      fingerprint: fingerprintOf(bundle),
    },
    engine: { backend: engine.backend, version: engine.version, library: engine.library },
    addon: {
      version: diagnostics.version,
      simd,
      ffmpeg: { avcodec: ffmpeg.avcodec, avformat: ffmpeg.avformat, license: ffmpeg.license },
    },
    limits: {
      items: options.admission.maxItems,
      bytes: options.admission.maxBytes,
      decodeConcurrency: options.decode.concurrency,
      maxVideoBatch: pipeline.maxBatch.video,
      maxTextBatch: pipeline.maxBatch.text,
      input: options.limits,
    },
    urls: options.urls,
  }
}

function fingerprintOf({ files }: ModelBundle): string {
  const hash = createHash('sha256')
  for (const [name, { sha256 }] of Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name} ${sha256}\n`)
  }
  return hash.digest('hex').slice(0, 32)
}
