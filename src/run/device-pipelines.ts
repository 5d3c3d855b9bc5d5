/** Distributes items over the pipelines of all devices: each item goes to the device with the fewest of its kind. */
import type { OpenDevice } from '../device/open-devices.ts'
import type { Item, VideoItem } from '../request/items.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import type { Release } from '../schedule/priority-semaphore.ts'
import type { Sources } from '../source/sources.ts'
import { AsyncTokenizer } from '../tokenizer/async-tokenizer.ts'
import type { TextTokenizer } from '../tokenizer/tokenizer.ts'
import type { EmbedderStats, ExtractedFrames, TextEmbedding, VideoEmbedding } from '../types.ts'
import type { ItemRun } from './item-run.ts'
import { Pipeline, type ReadyItem, type SharedPipelineOptions } from './pipeline.ts'

/** What a device's load is counted by. Videos and pictures are both clips. */
type Kind = 'text' | 'clip'

interface Device {
  readonly pipeline: Pipeline
  /** Items anywhere in the pipeline. */
  readonly load: Record<Kind, number>
}

export interface DevicePipelinesOptions extends SharedPipelineOptions {
  tokenizer: TextTokenizer
  /** At least one. */
  devices: readonly OpenDevice[]
}

export class DevicePipelines {
  /** The largest batch that every device accepts. */
  readonly maxBatch: { readonly text: number; readonly video: number }
  readonly #tokens: AsyncTokenizer
  readonly #sources: Sources
  readonly #devices: readonly Device[]

  constructor({ tokenizer, devices, ...shared }: DevicePipelinesOptions) {
    this.#tokens = new AsyncTokenizer(tokenizer)
    this.#sources = shared.sources
    this.#devices = devices.map(({ engine, gpu, decoders, decodeConcurrency }) => ({
      pipeline: new Pipeline({
        ...shared,
        engine,
        decodeConcurrency,
        ...(gpu !== undefined && { gpu }),
        ...(decoders !== undefined && { decoders }),
      }),
      load: { text: 0, clip: 0 },
    }))
    const least = (kind: 'text' | 'video') =>
      Math.min(...this.#devices.map(({ pipeline }) => pipeline.maxBatch[kind]))
    this.maxBatch = { text: least('text'), video: least('video') }
  }

  queues(): EmbedderStats['queues'] {
    const queues = { download: this.#sources.queue(), decode: noItems(), encode: noItems() }
    for (const { pipeline } of this.#devices) {
      const { decode, encode } = pipeline.queues()
      for (const [sum, part] of [
        [queues.decode, decode],
        [queues.encode, encode],
      ] as const) {
        sum.waiting += part.waiting
        sum.running += part.running
      }
    }
    return queues
  }

  /** Tokenizes a text, the only considerable work that does not need a device. */
  async prepare(
    item: Item,
    { signal, priority }: { signal: AbortSignal; priority: Priority },
  ): Promise<ReadyItem> {
    if (item.kind !== 'text') return item
    const tokens = await this.#tokens.encode(item.text, signal, priority)
    return { kind: 'text', tokens, looksLike: item.looksLike }
  }

  /** Ends the tokenizer's thread. */
  async close(): Promise<void> {
    await this.#tokens.close()
  }

  async embed(item: ReadyItem, run: ItemRun): Promise<TextEmbedding | VideoEmbedding> {
    const { pipeline, leave } = this.enter(item.kind === 'text' ? 'text' : 'clip')
    try {
      return await pipeline.embed(item, run)
    } finally {
      leave()
    }
  }

  async frames(item: VideoItem, images: boolean, run: ItemRun): Promise<ExtractedFrames> {
    const { pipeline, leave } = this.enter('clip')
    try {
      return await pipeline.frames(item, images, run)
    } finally {
      leave()
    }
  }

  /** Chooses the least loaded pipeline and counts an item on it until `leave` is called. */
  enter(kind: Kind): { pipeline: Pipeline; leave: Release } {
    const other = kind === 'text' ? 'clip' : 'text'
    const device = this.#devices.reduce((best, next) => {
      const more = next.load[kind] - best.load[kind] || next.load[other] - best.load[other]
      return more < 0 ? next : best
    })
    device.load[kind]++
    let counted = true
    const leave = () => {
      if (counted) device.load[kind]--
      counted = false
    }
    return { pipeline: device.pipeline, leave }
  }
}

function noItems() {
  return { waiting: 0, running: 0 }
}
