/** Golden vectors: inputs that a bundle was verified with on export, and the vectors that its checkpoint gave for them. */
import { readFile } from 'node:fs/promises'
import type { RgbImage } from '#binding'
import { describeIssues, inPlainWords } from '../base/validate.ts'
import { zod } from '../base/zod.ts'
import { ModelError } from '../errors.ts'
import type { ModelBundle } from '../model/bundle.ts'

const z = zod()

export interface Golden {
  /** The lowest cosine similarity that the exporter accepted, and that every device must reach. */
  lowestCosine: number
  clips: { seed: number; vector: Float32Array }[]
  texts: { text: string; ids: number[]; vector: Float32Array }[]
}

const vector = z.base64().transform((text) => {
  const bytes = Buffer.from(text, 'base64')
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i))
})

const goldenJson = z.object({
  rule: z.literal('ramps-1'),
  lowestCosine: z.number().min(0.9).max(1),
  clips: z.array(z.object({ seed: z.int().min(0).max(65_535), vector })).min(1),
  texts: z.array(z.object({ text: z.string(), ids: z.array(z.int().min(0)), vector })).min(1),
})

/** Loads the golden vectors; undefined if the bundle has none. Rejects with ModelError if they are invalid. */
export async function loadGolden({ files, embeddingDim }: ModelBundle): Promise<Golden | undefined> {
  const file = files.golden
  if (file === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(await readFile(file.path, 'utf8'))
  } catch (cause) {
    throw new ModelError(`golden vectors ${file.path} cannot be read as JSON`, { cause })
  }
  const result = goldenJson.safeParse(value, inPlainWords)
  if (!result.success) {
    throw new ModelError(`golden vectors ${file.path}: ${describeIssues(result.error.issues).message}`)
  }
  const odd = [...result.data.clips, ...result.data.texts].find(
    (entry) => entry.vector.length !== embeddingDim,
  )
  if (odd !== undefined) {
    throw new ModelError(
      `golden vectors ${file.path}: one has ${odd.vector.length} numbers, expected ${embeddingDim}`,
    )
  }
  return result.data
}

/**
 * Generates the clip of a seed. scripts/export/golden_clips.py generates the same bytes.
 * Each channel is a wrapping ramp that moves from frame to frame, with a little noise.
 */
export function goldenClip(seed: number, frames: number, height: number, width: number): RgbImage[] {
  const constant = (channel: number, which: number) => mix(12 * seed + 4 * channel + which) & 255
  const noiseFrom = 0x9e37 * seed
  return Array.from({ length: frames }, (_, time) => {
    const data = new Uint8Array(3 * width * height)
    for (let channel = 0; channel < 3; channel += 1) {
      const [level, alongX, alongY, inTime] = [0, 1, 2, 3].map((which) => constant(channel, which)) as Four
      const plane = (3 * time + channel) * width * height
      for (let y = 0; y < height; y += 1) {
        for (let x = 0; x < width; x += 1) {
          const noise = mix(noiseFrom + plane + y * width + x) & 15
          const ramp = level + Math.floor((alongX * x + alongY * y) / width) + inTime * time
          data[3 * (y * width + x) + channel] = (ramp + noise) & 255
        }
      }
    }
    return { width, height, data }
  })
}

type Four = [number, number, number, number]

/** A 32-bit integer hash. */
function mix(value: number): number {
  let hash = value >>> 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d)
  hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b)
  return (hash ^ (hash >>> 16)) >>> 0
}
