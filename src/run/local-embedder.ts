/** The calls of an {@link Embedder}, each followed from admission to answer. */

import { rank } from '../base/similarity.ts'
import { allOrNothing } from '../call/all-or-nothing.ts'
import { type CallKind, type Checked, checkCall } from '../call/call-options.ts'
import { type Call, Calls } from '../call/calls.ts'
import { DEFAULT_CONCURRENCY, ItemStream, keyOf, settleItem, streamResults } from '../call/item-stream.ts'
import { type Passed, progressOf } from '../call/progress.ts'
import { closeDevices, type OpenDevice } from '../device/open.ts'
import {
  type DeviceLostError,
  InternalError,
  InvalidArgumentError,
  OverloadedError,
  RequestTooLargeError,
} from '../errors.ts'
import type { ResolvedOptions } from '../options.ts'
import {
  costOf,
  type Item,
  parseItem,
  planRequest,
  type RequestRules,
  type VideoItem,
} from '../request/items.ts'
import type { Picture } from '../request/schema.ts'
import { Admission, type Cost, type Lease } from '../schedule/admission.ts'
import { adoptStreams } from '../source/type-guards.ts'
import type {
  Base64Request,
  DisposeOptions,
  Embedder,
  EmbedderInfo,
  EmbedderStats,
  EmbedderStatus,
  EmbedManyOptions,
  EmbedOptions,
  EmbedRequest,
  EmbedResponse,
  EmbedStreamOptions,
  ExtractedFrames,
  FloatRequest,
  FramesInput,
  FramesOptions,
  ItemEvent,
  ItemInput,
  ItemOptions,
  LabelScore,
  Segment,
  SegmentOptions,
  Settled,
  TextEmbedding,
  Video,
  VideoEmbedding,
  VideoOptions,
} from '../types.ts'
import type { DevicePipelines } from './device-pipelines.ts'
import { type Asked, asked, isFrames, rangeOf, type Way } from './item-context.ts'
import { Work, type WorkOptions } from './item-run.ts'
import type { ReadyItem } from './pipeline.ts'
import { type ItemResult, toResponse } from './response.ts'
import { SegmentPass } from './segments.ts'
import type { Stats } from './stats.ts'

export interface EmbedderParts {
  devices: readonly OpenDevice[]
  pipelines: DevicePipelines
  stats: Stats
  options: ResolvedOptions
  info: EmbedderInfo
}

export class LocalEmbedder implements Embedder {
  readonly #devices: readonly OpenDevice[]
  readonly #pipelines: DevicePipelines
  readonly #stats: Stats
  readonly #info: EmbedderInfo
  readonly #rules: RequestRules
  readonly #admission: Admission
  readonly #calls: Calls
  #status: EmbedderStatus = { ready: true }
  #freed: Promise<void> | undefined
  /** Of GPUs that are closed. */
  #lastGpus: EmbedderStats['gpus'] | undefined

  constructor({ devices, pipelines, stats, options, info }: EmbedderParts) {
    const { limits } = options
    this.#devices = devices
    this.#pipelines = pipelines
    this.#stats = stats
    this.#info = info
    this.#rules = { models: info.model.servedNames, frames: info.model.frames, limits }
    this.#admission = new Admission({ items: limits.maxItemsInFlight, bytes: limits.maxBytesInFlight })
    this.#calls = new Calls('embedder', (outcome) => stats.callEnded(outcome))
  }

  embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
  embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
  embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
  embed(request: EmbedRequest, given?: EmbedOptions): Promise<EmbedResponse> {
    const started = performance.now()
    const inputs = (request as EmbedRequest | undefined)?.input
    return this.#call('embed', given, inputs, async (call, { onProgress, whenFull }) => {
      const plan = planRequest(request, this.#rules)
      const priority = plan.requestType === 'query' ? 'query' : 'bulk'
      // Before anything is decoded: what is refused here has cost nothing.
      const lease = await this.#admit(plan.cost, { call, priority, whenFull })
      try {
        const items = await plan.items(call.signal)
        const passed = progressOf(call, onProgress, () => items.length)
        const keys = [inputs].flat().map(keyOf)
        const results = await this.#embedAll(items, { call, priority, lease, passed, keys })
        return toResponse(results, {
          encodingFormat: plan.encodingFormat,
          model: this.#info.model,
          totalMs: performance.now() - started,
        })
      } finally {
        lease.release()
      }
    })
  }

  embedText(text: string, given?: ItemOptions): Promise<TextEmbedding> {
    return this.#call('item', given, undefined, (call, options) =>
      this.#embedInput({ text }, { call, ...asked(options) }),
    ) as Promise<TextEmbedding>
  }

  embedVideo(video: Video | FramesInput, given?: VideoOptions): Promise<VideoEmbedding> {
    // Pictures have no range: then one is refused, as any other option that does not exist.
    const kind = isFrames(video) ? 'item' : 'video'
    return this.#call(kind, given, { video }, (call, options) => {
      const input = isFrames(video) ? video : { video, ...rangeOf(options) }
      return this.#embedInput(input, { call, ...asked(options) })
    }) as Promise<VideoEmbedding>
  }

  embedImage(image: Picture, given?: ItemOptions): Promise<VideoEmbedding> {
    return this.#call('item', given, undefined, (call, options) => {
      const { frames } = this.#info.model
      const item = parseItem({ frames: Array.from({ length: frames }, () => image) }, this.#rules)
      if (item.kind !== 'frames') throw new InternalError('a picture became something else: this is a bug')
      const still: Item = { kind: 'frames', frames: item.frames.slice(0, 1), copies: frames }
      return this.#embedParsed(still, { call, ...asked(options) })
    }) as Promise<VideoEmbedding>
  }

  embedMany<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    given?: EmbedManyOptions,
  ): Promise<Settled<I>[]> {
    return this.#call('many', given, undefined, async (call, options) => {
      const results: Settled<I>[] = []
      for await (const one of this.#stream(call, items, options).results()) results[one.index] = one
      return results
    })
  }

  async *embedStream<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    given?: EmbedStreamOptions,
  ): AsyncGenerator<Settled<I>, void, undefined> {
    const options = checkCall('stream', given)
    const call = this.#calls.begin(options.signal)
    yield* streamResults(call, this.#stream(call, items, options))
  }

  #stream<I extends ItemInput>(
    call: Call,
    items: Iterable<I> | AsyncIterable<I>,
    { priority = 'bulk', whenFull, onProgress, ...way }: EmbedStreamOptions,
  ): ItemStream<I, Settled<I>> {
    let read = 0
    const passed = progressOf(call, onProgress, () => (Array.isArray(items) ? items.length : read))
    const settle = (input: I, index: number) => {
      read = index + 1
      const key = keyOf(input)
      const asked = { call, priority, whenFull, key, passed: passed(index, key) }
      return settleItem(input, index, async () => this.#embedInput(input, asked)) as Promise<Settled<I>>
    }
    const { concurrency = DEFAULT_CONCURRENCY, ordered = false } = way
    return new ItemStream(call, items, settle, { concurrency, ordered })
  }

  segments(video: Video, options: SegmentOptions): AsyncIterableIterator<Segment> {
    return this.#segments(video, options, adoptStreams({ video }))
  }

  async *#segments(
    video: Video,
    given: SegmentOptions,
    release: () => void,
  ): AsyncGenerator<Segment, void, undefined> {
    try {
      const options = checkCall('segments', given)
      const { windowSeconds, strideSeconds = windowSeconds, priority = 'bulk', signal, whenFull } = options
      const call = this.#calls.begin(signal)
      let pass: SegmentPass
      try {
        call.signal.throwIfAborted()
        const item = this.#parseVideo(video, options)
        const lease = await this.#admit(costOf([item]), { call, priority, whenFull })
        const newWork = () => this.#newWork({ kind: 'video', priority, signal: call.signal, lease })
        const stay = this.#pipelines.enter('clip')
        const windows = { seconds: windowSeconds, stride: strideSeconds }
        pass = new SegmentPass({ ...stay, call, lease, newWork, item, windows })
      } catch (failure) {
        call.end({ failure })
        throw failure
      }
      yield* pass.run()
    } finally {
      release()
    }
  }

  frames(video: Video, given?: FramesOptions): Promise<ExtractedFrames> {
    return this.#call('frames', given, { video }, async (call, options) => {
      const { images = true, ...way } = options
      const item = this.#parseVideo(video, options)
      const { priority, whenFull } = asked(way)
      const lease = await this.#admit(costOf([item]), { call, priority, whenFull })
      try {
        const work = this.#newWork({ kind: 'video', priority, signal: call.signal, lease })
        return await this.#pipelines.frames(item, images, work)
      } finally {
        lease.release()
      }
    })
  }

  classify(
    video: Video | FramesInput,
    labels: readonly string[],
    given?: ItemOptions,
  ): Promise<LabelScore[]> {
    return this.#call('item', given, { video }, async (call, options) => {
      if (
        !Array.isArray(labels) ||
        labels.length === 0 ||
        labels.some((label) => typeof label !== 'string')
      ) {
        throw new InvalidArgumentError('labels: must be a list of at least one text')
      }
      const inputs: ItemInput[] = [isFrames(video) ? video : { video }, ...labels.map((text) => ({ text }))]
      const [seen, ...said] = await allOrNothing(call, inputs, (input) =>
        this.#embedInput(input, { call, ...asked(options) }),
      )
      if (!seen) throw new InternalError('a video became nothing: this is a bug')
      return rank(seen, said).map(({ index, score }) => ({ label: labels[index] as string, score }))
    })
  }

  info(): EmbedderInfo {
    return structuredClone(this.#info)
  }

  status(): EmbedderStatus {
    return { ...this.#status }
  }

  stats(): EmbedderStats {
    return {
      ...this.#stats.snapshot(),
      gpus: this.#lastGpus ?? this.#gpuStats(),
      inFlight: {
        items: this.#admission.items,
        bytes: this.#admission.bytes,
        requests: this.#calls.size,
      },
      queues: this.#pipelines.queues(),
    }
  }

  observe(listener: (event: ItemEvent) => void): () => void {
    if (typeof listener === 'function') return this.#stats.observe(listener)
    throw new InvalidArgumentError('listener: must be a function')
  }

  async dispose(given?: DisposeOptions): Promise<void> {
    const { drain = false } = checkCall('dispose', given)
    this.#calls.close()
    this.#status = { ready: false, code: 'closed', reason: 'the embedder is closed' }
    if (drain) this.#calls.drain()
    else this.#calls.cancel()
    this.#freed ??= this.#free()
    return this.#freed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** One call of a method, from its options to its end. Streams among its inputs are held as long, and then closed. */
  async #call<Kind extends CallKind, T>(
    kind: Kind,
    given: object | undefined,
    inputs: unknown,
    work: (call: Call, options: Checked[Kind]) => Promise<T>,
  ): Promise<T> {
    const release = adoptStreams(inputs)
    try {
      const options = checkCall(kind, given)
      return await this.#calls.run(options.signal, (call) => work(call, options))
    } finally {
      release()
    }
  }

  #parseVideo(video: Video, options: VideoOptions): VideoItem {
    const item = parseItem({ video, ...rangeOf(options) }, this.#rules)
    if (item.kind !== 'video') throw new InternalError('a video became something else: this is a bug')
    return item
  }

  #embedInput(input: ItemInput, way: Asked): Promise<ItemResult> {
    return this.#embedParsed(parseItem(input, this.#rules), way)
  }

  async #embedParsed(item: Item, { whenFull, ...way }: Asked): Promise<ItemResult> {
    const lease = await this.#admit(costOf([item]), { ...way, whenFull })
    try {
      const ready = await this.#prepare(item, way)
      return await this.#embedItem(ready, { ...way, lease })
    } finally {
      lease.release()
    }
  }

  async #embedAll(
    items: readonly Item[],
    {
      passed,
      keys,
      ...way
    }: Omit<Way, 'passed' | 'key'> & {
      passed: (index: number, key: unknown) => Passed
      keys: readonly unknown[]
    },
  ): Promise<ItemResult[]> {
    // First all tokens, then all the rest, so that the texts of a request can share a batch.
    const ready = await allOrNothing(way.call, items, (item) => this.#prepare(item, way))
    return allOrNothing(way.call, ready, (item, index) => {
      const key = keys[index]
      return this.#embedItem(item, { ...way, key, passed: passed(index, key) })
    })
  }

  #prepare(item: Item, { call, priority }: Pick<Way, 'call' | 'priority'>): Promise<ReadyItem> {
    return this.#pipelines.prepare(item, { signal: call.signal, priority })
  }

  async #embedItem(item: ReadyItem, { call, ...way }: Way): Promise<ItemResult> {
    const work = this.#newWork({ ...way, kind: item.kind, signal: call.signal })
    return work.run(() => this.#pipelines.embed(item, work))
  }

  #newWork(options: Omit<WorkOptions, 'lost'>): Work {
    return new Work(this.#stats, { ...options, lost: (failure) => this.#lose(failure) })
  }

  /** Nothing of this process reaches the device again: whatever runs fails, and whatever comes. */
  #lose(failure: DeviceLostError) {
    if (this.#status.ready) this.#status = { ready: false, code: 'device_lost', reason: failure.message }
    this.#calls.lose(failure)
  }

  async #free(): Promise<void> {
    await this.#calls.idle()
    this.#lastGpus = this.#gpuStats()
    await Promise.all([closeDevices(this.#devices), this.#pipelines.close()])
  }

  #gpuStats(): EmbedderStats['gpus'] {
    return this.#devices.flatMap(({ gpu }) => (gpu ? [{ device: gpu.info.device, ...gpu.stats() }] : []))
  }

  /** Rejects with RequestTooLargeError, OverloadedError or the call's reason. */
  async #admit(cost: Cost, { call, priority, whenFull = 'wait' }: Asked): Promise<Lease> {
    const { items, bytes, limits } = this.#admission
    if (!this.#admission.couldFit(cost)) {
      throw new RequestTooLargeError(
        `the request holds ${cost.bytes} bytes of media, more than maxBytesInFlight ${limits.bytes}: send files or URLs`,
        { details: { found: cost.bytes, limit: limits.bytes } },
      )
    }
    if (whenFull === 'wait') return this.#admission.acquire(cost, priority, call.signal)
    const lease = this.#admission.tryAcquire(cost, priority)
    if (lease) return lease
    throw new OverloadedError(
      `${items} of ${limits.items} items and ${bytes} of ${limits.bytes} bytes are in flight: ` +
        `no room for ${cost.items} items of ${cost.bytes} bytes now`,
      {
        retryAfter: this.#stats.retryAfter(),
        details: { items, bytes, maxItemsInFlight: limits.items, maxBytesInFlight: limits.bytes },
      },
    )
  }
}
