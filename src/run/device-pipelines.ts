/** The pipelines of all devices behind one door: each item goes where the fewest of its kind are. */
import type { OpenDevice } from '../device/open.ts'
import type { Item, VideoItem } from '../request/items.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import type { Release } from '../schedule/priority-semaphore.ts'
import type { Sources } from '../source/sources.ts'
import { TokenMaker } from '../tokenizer/token-maker.ts'
import type { TextTokenizer } from '../tokenizer/tokenizer.ts'
import type { EmbedderStats, ExtractedFrames, TextEmbedding, VideoEmbedding } from '../types.ts'
import type { Work } from './item-run.ts'
import { Pipeline, type ReadyItem, type SharedParts } from './pipeline.ts'

/** Clips of every origin are one kind of load. */
type Kind = 'text' | 'clip'

interface Member {
  readonly pipeline: Pipeline
  /** Items that are anywhere in it. */
  readonly load: Record<Kind, number>
}

export interface DevicePipelinesOptions extends SharedParts {
  tokenizer: TextTokenizer
  /** At least one. */
  devices: readonly OpenDevice[]
}

export class DevicePipelines {
  /** Of every device. */
  readonly maxBatch: { readonly text: number; readonly video: number }
  readonly #tokens: TokenMaker
  readonly #sources: Sources
  readonly #members: readonly Member[]

  constructor({ tokenizer, devices, ...shared }: DevicePipelinesOptions) {
    this.#tokens = new TokenMaker(tokenizer)
    this.#sources = shared.sources
    this.#members = devices.map(({ engine, gpu, decodeConcurrency }) => ({
      pipeline: new Pipeline({
        ...shared,
        engine,
        decodeConcurrency,
        ...(gpu !== undefined && { gpu }),
      }),
      load: { text: 0, clip: 0 },
    }))
    const least = (kind: 'text' | 'video') => Math.min(...this.#members.map((m) => m.pipeline.maxBatch[kind]))
    this.maxBatch = { text: least('text'), video: least('video') }
  }

  queues(): EmbedderStats['queues'] {
    const queues = { download: this.#sources.queue(), decode: noItems(), encode: noItems() }
    for (const { pipeline } of this.#members) {
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

  /** Makes tokens of a text: the only work of any size that is done before an item has a device. */
  async prepare(
    item: Item,
    { signal, priority }: { signal: AbortSignal; priority: Priority },
  ): Promise<ReadyItem> {
    if (item.kind !== 'text') return item
    const tokens = await this.#tokens.make(item.text, signal, priority)
    return { kind: 'text', tokens, looksLike: item.looksLike }
  }

  /** Ends the thread that makes tokens. */
  async close(): Promise<void> {
    await this.#tokens.close()
  }

  async embed(item: ReadyItem, work: Work): Promise<TextEmbedding | VideoEmbedding> {
    const { pipeline, leave } = this.enter(item.kind === 'text' ? 'text' : 'clip')
    try {
      return await pipeline.embed(item, work)
    } finally {
      leave()
    }
  }

  async frames(item: VideoItem, images: boolean, work: Work): Promise<ExtractedFrames> {
    const { pipeline, leave } = this.enter('clip')
    try {
      return await pipeline.frames(item, images, work)
    } finally {
      leave()
    }
  }

  /** The pipeline where the fewest are, for a stay that does not end with a function. The caller leaves. */
  enter(kind: Kind): { pipeline: Pipeline; leave: Release } {
    const other = kind === 'text' ? 'clip' : 'text'
    const member = this.#members.reduce((best, next) => {
      const more = next.load[kind] - best.load[kind] || next.load[other] - best.load[other]
      return more < 0 ? next : best
    })
    member.load[kind]++
    let inside = true
    const leave = () => {
      if (inside) member.load[kind]--
      inside = false
    }
    return { pipeline: member.pipeline, leave }
  }
}

function noItems() {
  return { waiting: 0, running: 0 }
}
