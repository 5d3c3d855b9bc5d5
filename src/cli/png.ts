/** Writes pictures as PNG files. */
import { writeFile } from 'node:fs/promises'

import { encode } from 'fast-png'
import type { RgbImage } from '#binding'

/** Encodes a picture as a PNG file. */
export function encodePng({ width, height, data }: RgbImage): Uint8Array {
  return encode({ width, height, data, channels: 3, depth: 8 })
}

export async function writePng(path: string, image: RgbImage): Promise<void> {
  await writeFile(path, encodePng(image))
}

/** Frame `index` of a clip, planar [T, 3, R, R] uint8, as an interleaved picture. */
export function clipFrame(clip: Uint8Array, index: number, resolution: number): RgbImage {
  const plane = resolution * resolution
  const frame = clip.subarray(3 * plane * index, 3 * plane * (index + 1))
  const data = new Uint8Array(3 * plane)
  for (let pixel = 0; pixel < plane; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      data[3 * pixel + channel] = frame[channel * plane + pixel] ?? 0
    }
  }
  return { width: resolution, height: resolution, data }
}
