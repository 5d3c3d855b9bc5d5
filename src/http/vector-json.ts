/** Vectors in the bodies of responses. */
import binding from '#binding'

/**
 * A vector as JSON: base64 as a string, or the shortest numbers that read back as the same float32, which are half as long
 * as those of `JSON.stringify`.
 */
export function vectorJson(embedding: Float32Array | string): string {
  return typeof embedding === 'string' ? JSON.stringify(embedding) : binding.vectorToJson(embedding)
}
