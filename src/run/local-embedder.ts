/** The embedder of this process: validates, admits and runs calls, and ends them on `dispose` or device loss. */

import { publish } from '../base/diagnostics.ts'
import { rank } from '../base/similarity.ts'
import { allOrNothing } from '../call/all-or-nothing.ts'
import { type CallKind, type CheckedOptions, checkCall } from '../call/call-options.ts'
import { type Call, Calls } from '../call/calls.ts'
import { DEFAULT_CONCURRENCY, ItemStream, keyOf, settleItem, streamResults } from '../call/item-stream.ts'
import { progressReporter, type StageListener } from '../call/progress.ts'
import { countersOf, type DeviceCounters } from '../device/device-counters.ts'
import { closeDevices, type OpenDevice } from '../device/open-devices.ts'
import { type DeviceLostError, InternalError, InvalidArgumentError } from '../errors.ts'
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
import { adoptStreams } from '../source/input-streams.ts'
import type {
  Base64Request,
  DisposeOptions,
  Embedder,
  EmbedderEvent,
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
import { admit } from './admit.ts'
import type { DevicePipelines } from './device-pipelines.ts'
import { type AdmissionContext, type ItemContext, isFrames, rangeOf, singleItem } from './item-context.ts'
import { ItemRun, type ItemRunOptions } from './item-run.ts'
import type { ReadyItem } from './pipeline.ts'
import { type ItemResult, toResponse } from './response.ts'
import { SegmentPass, windowsOf } from './segments.ts'
import type { Stats } from './stats.ts'

export interface LocalEmbedderOptions {
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
  /** The counters of the devices when they were closed. */
  #lastCounters: DeviceCounters | undefined

  constructor({ devices, pipelines, stats, options, info }: LocalEmbedderOptions) {
    const { limits } = options
    this.#devices = devices
    this.#pipelines = pipelines
    this.#stats = stats
    this.#info = info
    this.#rules = { models: info.model.servedNames, frames: info.model.frames, limits }
    this.#admission = new Admission({ items: limits.maxItemsInFlight, bytes: limits.maxBytesInFlight })
    this.#calls = new Calls('embedder', (outcome, ms) => stats.callEnded(outcome, ms))
    this.#announce('created')
  }

  embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
  embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
  embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
  embed(request: EmbedRequest, rawOptions?: EmbedOptions): Promise<EmbedResponse> {
    const started = performance.now()
    const inputs = (request as EmbedRequest | undefined)?.input
    return this.#call('embed', rawOptions, inputs, async (call, { onProgress, whenFull }) => {
      const plan = planRequest(request, this.#rules)
      const priority = plan.requestType === 'query' ? 'query' : 'bulk'
      // Before anything is decoded, so that refusing costs nothing.
      const lease = await this.#admit(plan.cost, { call, priority, whenFull })
      try {
        const items = await plan.items(call.signal)
        const listenerOf = progressReporter(call, onProgress, () => items.length)
        const keys = [inputs].flat().map(keyOf)
        const results = await this.#embedAll(items, { call, priority, lease, listenerOf, keys })
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

  embedText(text: string, rawOptions?: ItemOptions): Promise<TextEmbedding> {
    return this.#call('item', rawOptions, undefined, (call, options) =>
      this.#embedInput({ text }, { call, ...singleItem(options) }),
    ) as Promise<TextEmbedding>
  }

  embedVideo(video: Video | FramesInput, rawOptions?: VideoOptions): Promise<VideoEmbedding> {
    // Pictures have no timeline, so the options of a range are refused as unknown.
    const kind = isFrames(video) ? 'item' : 'video'
    return this.#call(kind, rawOptions, { video }, (call, options) => {
      const input = isFrames(video) ? video : { video, ...rangeOf(options) }
      return this.#embedInput(input, { call, ...singleItem(options) })
    }) as Promise<VideoEmbedding>
  }

  embedImage(image: Picture, rawOptions?: ItemOptions): Promise<VideoEmbedding> {
    return this.#call('item', rawOptions, undefined, (call, options) => {
      const { frames } = this.#info.model
      const item = parseItem({ frames: Array.from({ length: frames }, () => image) }, this.#rules)
      if (item.kind !== 'frames')
        throw new InternalError('a picture was parsed as another kind: this is a bug')
      const still: Item = { kind: 'frames', frames: item.frames.slice(0, 1), copies: frames }
      return this.#embedParsed(still, { call, ...singleItem(options) })
    }) as Promise<VideoEmbedding>
  }

  embedMany<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    rawOptions?: EmbedManyOptions,
  ): Promise<Settled<I>[]> {
    return this.#call('many', rawOptions, undefined, async (call, options) => {
      const results: Settled<I>[] = []
      for await (const one of this.#stream(call, items, options).results()) results[one.index] = one
      return results
    })
  }

  async *embedStream<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    rawOptions?: EmbedStreamOptions,
  ): AsyncGenerator<Settled<I>, void, undefined> {
    const options = checkCall('stream', rawOptions)
    const call = this.#calls.begin(options.signal)
    yield* streamResults(call, this.#stream(call, items, options))
  }

  #stream<I extends ItemInput>(
    call: Call,
    items: Iterable<I> | AsyncIterable<I>,
    { priority = 'bulk', whenFull, onProgress, ...rest }: EmbedStreamOptions,
  ): ItemStream<I, Settled<I>> {
    let read = 0
    const listenerOf = progressReporter(call, onProgress, () => (Array.isArray(items) ? items.length : read))
    const settle = (input: I, index: number) => {
      read = index + 1
      const key = keyOf(input)
      const context = { call, priority, whenFull, key, onStageDone: listenerOf(index, key) }
      return settleItem(input, index, async () => this.#embedInput(input, context)) as Promise<Settled<I>>
    }
    const { concurrency = DEFAULT_CONCURRENCY, ordered = false } = rest
    return new ItemStream(call, items, settle, { concurrency, ordered })
  }

  segments(video: Video, options: SegmentOptions): AsyncIterableIterator<Segment> {
    return this.#segments(video, options, adoptStreams({ video }))
  }

  async *#segments(
    video: Video,
    rawOptions: SegmentOptions,
    release: () => void,
  ): AsyncGenerator<Segment, void, undefined> {
    try {
      const options = checkCall('segments', rawOptions)
      const { priority = 'bulk', signal, whenFull } = options
      const call = this.#calls.begin(signal)
      let pass: SegmentPass
      try {
        call.signal.throwIfAborted()
        const item = this.#parseVideo(video, options)
        const lease = await this.#admit(costOf([item]), { call, priority, whenFull })
        const startRun = () => this.#startRun({ kind: 'video', priority, signal: call.signal, lease })
        const place = this.#pipelines.enter('clip')
        const windows = windowsOf(options)
        pass = new SegmentPass({ ...place, call, lease, startRun, item, windows })
      } catch (failure) {
        call.end({ failure })
        throw failure
      }
      yield* pass.run()
    } finally {
      release()
    }
  }

  frames(video: Video, rawOptions?: FramesOptions): Promise<ExtractedFrames> {
    return this.#call('frames', rawOptions, { video }, async (call, options) => {
      const { images = true, ...rest } = options
      const item = this.#parseVideo(video, options)
      const { priority, whenFull } = singleItem(rest)
      const lease = await this.#admit(costOf([item]), { call, priority, whenFull })
      try {
        const run = this.#startRun({ kind: 'video', priority, signal: call.signal, lease })
        return await this.#pipelines.frames(item, images, run)
      } finally {
        lease.release()
      }
    })
  }

  classify(
    video: Video | FramesInput,
    labels: readonly string[],
    rawOptions?: ItemOptions,
  ): Promise<LabelScore[]> {
    return this.#call('item', rawOptions, { video }, async (call, options) => {
      if (
        !Array.isArray(labels) ||
        labels.length === 0 ||
        labels.some((label) => typeof label !== 'string')
      ) {
        throw new InvalidArgumentError('labels: must be a list of at least one text')
      }
      const inputs: ItemInput[] = [isFrames(video) ? video : { video }, ...labels.map((text) => ({ text }))]
      const [videoResult, ...labelResults] = await allOrNothing(call, inputs, (input) =>
        this.#embedInput(input, { call, ...singleItem(options) }),
      )
      if (!videoResult) throw new InternalError('a video has no result: this is a bug')
      return rank(videoResult, labelResults).map(({ index, score }) => ({
        label: labels[index] as string,
        score,
      }))
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
      ...(this.#lastCounters ?? countersOf(this.#devices)),
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

  async dispose(rawOptions?: DisposeOptions): Promise<void> {
    const { drain = false } = checkCall('dispose', rawOptions)
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

  /** Runs one call, from validating its options to its end. Owns the streams among its inputs and closes them at the end. */
  async #call<Kind extends CallKind, T>(
    kind: Kind,
    rawOptions: object | undefined,
    inputs: unknown,
    work: (call: Call, options: CheckedOptions[Kind]) => Promise<T>,
  ): Promise<T> {
    const release = adoptStreams(inputs)
    try {
      const options = checkCall(kind, rawOptions)
      return await this.#calls.run(options.signal, (call) => work(call, options))
    } finally {
      release()
    }
  }

  #parseVideo(video: Video, options: VideoOptions): VideoItem {
    const item = parseItem({ video, ...rangeOf(options) }, this.#rules)
    if (item.kind !== 'video') throw new InternalError('a video was parsed as another kind: this is a bug')
    return item
  }

  #embedInput(input: ItemInput, context: AdmissionContext): Promise<ItemResult> {
    return this.#embedParsed(parseItem(input, this.#rules), context)
  }

  async #embedParsed(item: Item, { whenFull, ...context }: AdmissionContext): Promise<ItemResult> {
    const lease = await this.#admit(costOf([item]), { ...context, whenFull })
    try {
      const ready = await this.#prepare(item, context)
      return await this.#embedItem(ready, { ...context, lease })
    } finally {
      lease.release()
    }
  }

  async #embedAll(
    items: readonly Item[],
    {
      listenerOf,
      keys,
      ...context
    }: Omit<ItemContext, 'onStageDone' | 'key'> & {
      listenerOf: (index: number, key: unknown) => StageListener
      keys: readonly unknown[]
    },
  ): Promise<ItemResult[]> {
    // All texts are tokenized first, so that they can share a batch.
    const ready = await allOrNothing(context.call, items, (item) => this.#prepare(item, context))
    return allOrNothing(context.call, ready, (item, index) => {
      const key = keys[index]
      return this.#embedItem(item, { ...context, key, onStageDone: listenerOf(index, key) })
    })
  }

  #prepare(item: Item, { call, priority }: Pick<ItemContext, 'call' | 'priority'>): Promise<ReadyItem> {
    return this.#pipelines.prepare(item, { signal: call.signal, priority })
  }

  async #embedItem(item: ReadyItem, { call, ...context }: ItemContext): Promise<ItemResult> {
    const run = this.#startRun({ ...context, kind: item.kind, signal: call.signal })
    return run.finish(() => this.#pipelines.embed(item, run))
  }

  #startRun(options: Omit<ItemRunOptions, 'onDeviceLost'>): ItemRun {
    return new ItemRun(this.#stats, { ...options, onDeviceLost: (failure) => this.#deviceLost(failure) })
  }

  /** Fails all calls, now and later, because this process cannot use the device again. */
  #deviceLost(failure: DeviceLostError) {
    if (this.#status.ready) {
      this.#status = { ready: false, code: 'device_lost', reason: failure.message }
      this.#announce('device_lost')
    }
    this.#calls.failAll(failure)
  }

  async #free(): Promise<void> {
    await this.#calls.idle()
    this.#lastCounters = countersOf(this.#devices)
    await Promise.all([closeDevices(this.#devices), this.#pipelines.close()])
    this.#announce('closed')
  }

  #announce(state: EmbedderEvent['state']): void {
    const { model, device } = this.#info
    const { id, fingerprint } = model
    publish('cosmos-embed:embedder', { state, model: id, fingerprint, device: device.kind })
  }

  #admit(cost: Cost, context: AdmissionContext): Promise<Lease> {
    return admit(this.#admission, cost, context, () => this.#stats.retryAfter())
  }
}
