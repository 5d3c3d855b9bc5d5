/** Base64 with and without Node's `Buffer`. Vectors are received in it, and media are sent in it. */

/** Bytes encoded before yielding to the event loop. A multiple of 3. */
const sliceBytes = 768 * 1024

/** Bytes passed as arguments of one call: any JavaScript engine accepts so many. A multiple of 3. */
const callBytes = 0x6000

interface NodeBuffer {
  from(buffer: ArrayBufferLike, offset: number, length: number): { toString(encoding: 'base64'): string }
}

/** Encodes in slices and yields to the event loop between them. Rejects with `signal.reason`. */
export async function encodeBase64(bytes: Uint8Array, signal: AbortSignal): Promise<string> {
  const parts: string[] = []
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    if (at > 0) await new Promise((resolve) => setTimeout(resolve))
    signal.throwIfAborted()
    parts.push(encodeSlice(bytes.subarray(at, at + sliceBytes)))
  }
  return parts.join('')
}

/** Encodes synchronously: for small inputs. */
export function encodeSlice(bytes: Uint8Array): string {
  const { Buffer } = globalThis as { Buffer?: NodeBuffer }
  if (Buffer) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
  let text = ''
  for (let at = 0; at < bytes.length; at += callBytes) {
    text += btoa(String.fromCharCode(...bytes.subarray(at, at + callBytes)))
  }
  return text
}

/** Decodes base64 of little-endian float32 values; undefined if `text` is not that. */
export function decodeVector(text: string): Float32Array | undefined {
  let binary: string
  try {
    binary = atob(text)
  } catch {
    return undefined
  }
  if (binary.length === 0 || binary.length % 4 !== 0) return undefined
  const bytes = new DataView(new ArrayBuffer(binary.length))
  for (let i = 0; i < binary.length; i++) bytes.setUint8(i, binary.charCodeAt(i))
  return Float32Array.from({ length: binary.length / 4 }, (_, i) => bytes.getFloat32(4 * i, true))
}

/** Encodes a vector as base64 of little-endian float32 values. */
export function encodeVector(vector: Float32Array): string {
  const bytes = new DataView(new ArrayBuffer(4 * vector.length))
  vector.forEach((value, i) => {
    bytes.setFloat32(4 * i, value, true)
  })
  return encodeSlice(new Uint8Array(bytes.buffer))
}
