/** Composes the documented response of `embed`. */
import type { EncodingFormat } from '../request/schema.ts'
import type { EmbedderInfo, EmbedResponse, TextEmbedding, Vector, VideoEmbedding } from '../types.ts'
import { sumTimings } from './stats.ts'

export type ItemResult = TextEmbedding | VideoEmbedding

export function toResponse(
  results: readonly ItemResult[],
  {
    encodingFormat,
    model,
    totalMs,
  }: { encodingFormat: EncodingFormat; model: EmbedderInfo['model']; totalMs: number },
): EmbedResponse {
  const tokens = results.reduce((sum, result) => sum + (result.kind === 'text' ? result.tokens : 0), 0)
  return {
    object: 'list',
    data: results.map(({ embedding }, index) => ({
      object: 'embedding',
      index,
      embedding: encodingFormat === 'base64' ? toBase64(embedding) : embedding,
    })),
    model: model.id,
    usage: {
      num_videos: results.filter(({ kind }) => kind !== 'text').length,
      prompt_tokens: tokens,
      total_tokens: tokens,
    },
    warnings: results.flatMap(({ warnings }, index) => warnings.map((warning) => ({ index, ...warning }))),
    timings: { ...sumTimings(results.map(({ timings }) => timings)), total: totalMs },
  }
}

/** Little-endian, because all platforms of the addon are. */
function toBase64(vector: Float32Array): Vector {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
}
