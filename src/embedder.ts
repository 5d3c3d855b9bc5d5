/** `createEmbedder` and what it makes: the public calls, each followed from admission to answer. */
import { fileURLToPath } from 'node:url'
import nativeBinding, { type Binding } from '#binding'
import { type Call, Calls } from './calls.ts'
import { type BuildEngines, chooseDevice } from './device/choice.ts'
import { closeDevices, type OpenDevice, openDevices } from './device/open.ts'
import {
  atItem,
  type DeviceLostError,
  InternalError,
  OverloadedError,
  RequestTooLargeError,
} from './errors.ts'
import { describeEmbedder } from './info.ts'
import { untilAborted } from './many.ts'
import { loadBundle } from './model/bundle.ts'
import { buildEngines } from './model/engine-builder.ts'
import { loadTokenizer } from './model/tokenizer.ts'
import { callNative } from './native-job.ts'
import { type EmbedderOptions, type ResolvedOptions, resolveOptions } from './options.ts'
import type { ReadyItem } from './pipeline.ts'
import { Pipelines } from './pipelines.ts'
import { heldBytes, type Item, parseItem, parseRequest, type RequestRules } from './request/items.ts'
import { type ItemResult, toResponse } from './response.ts'
import { Admission, type Cost, type Lease } from './schedule/admission.ts'
import type { Priority } from './schedule/priority-queue.ts'
import { SegmentPass, windowsOf } from './segments.ts'
import { createSources } from './source/sources.ts'
import { Stats } from './stats.ts'
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
  FloatRequest,
  FramesInput,
  ItemEvent,
  ItemInput,
  ItemOptions,
  Progress,
  ProgressStage,
  Segment,
  SegmentOptions,
  Settled,
  TextEmbedding,
  Video,
  VideoEmbedding,
  VideoOptions,
} from './types.ts'
import { Work, type WorkOptions } from './work.ts'

/** Folder of the model that this package brings. */
export const demoModel: string = fileURLToPath(new URL('../models/demo', import.meta.url))

/** How many items of one `embedMany` are under way together: enough for full batches, and room for other callers. */
const MANY_IN_FLIGHT = 64

/**
 * Loads a model. Rejects with InvalidArgumentError (options), ModelError (bundle, its TensorRT engines), LibraryError
 * (addon, ONNX Runtime, driver, TensorRT), EngineError (an engine that cannot be built), OutOfMemoryError,
 * DeviceLostError, or with `signal.reason`; nothing stays loaded then.
 */
export function createEmbedder(options: EmbedderOptions = {}): Promise<Embedder> {
  return openEmbedder(options, nativeBinding)
}

/** The same with any implementation of the native boundary, and of what builds engines. @internal */
export async function openEmbedder(
  given: EmbedderOptions,
  binding: Binding,
  build: BuildEngines = buildEngines,
): Promise<Embedder> {
  const options = resolveOptions(given)
  const signal = options.signal ?? new AbortController().signal
  signal.throwIfAborted()
  // First: without the addon nothing else that is missing matters.
  const diagnostics = callNative(() => binding.diagnostics())
  const bundle = await loadBundle(options.model ?? demoModel, { signal })
  const tokenizer = await loadTokenizer(bundle.files.tokenizer.path, bundle.maxTextTokens)
  const chosen = await chooseDevice({ binding, options, bundle, buildEngines: build, signal })
  const { padTokenId } = tokenizer
  const { choice, devices } = await openDevices(chosen, { binding, options, bundle, padTokenId, signal })
  const stats = new Stats()
  const sources = createSources({ urls: options.urls, limits: options.limits })
  const pipelines = new Pipelines({ binding, devices, tokenizer, sources, options, stats })
  const info = describeEmbedder({ options, choice, bundle, devices, diagnostics, pipelines })
  return new LocalEmbedder({ devices, pipelines, stats, options, info })
}

interface EmbedderParts {
  devices: readonly OpenDevice[]
  pipelines: Pipelines
  stats: Stats
  options: ResolvedOptions
  info: EmbedderInfo
}

class LocalEmbedder implements Embedder {
  readonly #devices: readonly OpenDevice[]
  readonly #pipelines: Pipelines
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
    this.#devices = devices
    this.#pipelines = pipelines
    this.#stats = stats
    this.#info = info
    this.#rules = { models: info.model.servedNames, frames: info.model.frames, limits: options.limits }
    this.#admission = new Admission({ items: options.admission.maxItems, bytes: options.admission.maxBytes })
    this.#calls = new Calls(stats)
  }

  embed(request: FloatRequest, options?: EmbedOptions): Promise<EmbedResponse<Float32Array>>
  embed(request: Base64Request, options?: EmbedOptions): Promise<EmbedResponse<string>>
  embed(request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse>
  embed(request: EmbedRequest, { signal, onProgress }: EmbedOptions = {}): Promise<EmbedResponse> {
    const started = performance.now()
    return this.#calls.run(signal, async (call) => {
      const { items, requestType, encodingFormat } = await parseRequest(request, this.#rules, call.signal)
      const priority = requestType === 'query' ? 'query' : 'bulk'
      const lease = this.#admit(costOf(items))
      try {
        const passed = reportProgress(onProgress, () => items.length)
        const results = await this.#embedAll(items, { call, priority, lease, passed })
        return toResponse(results, {
          encodingFormat,
          model: this.#info.model,
          totalMs: performance.now() - started,
        })
      } finally {
        lease.release()
      }
    })
  }

  embedText(text: string, options: ItemOptions = {}): Promise<TextEmbedding> {
    return this.#embedOne({ text }, options) as Promise<TextEmbedding>
  }

  embedVideo(video: Video | FramesInput, options: VideoOptions = {}): Promise<VideoEmbedding> {
    const { start, end, frameRule, frameTolerance } = options
    const input = isFrames(video) ? video : { video, start, end, frameRule, frameTolerance }
    return this.#embedOne(input, options) as Promise<VideoEmbedding>
  }

  embedMany(
    items: Iterable<ItemInput> | AsyncIterable<ItemInput>,
    { signal, priority = 'bulk', onProgress }: EmbedManyOptions = {},
  ): Promise<Settled[]> {
    return this.#calls.run(signal, async (call) => {
      const results: Settled[] = []
      const underWay = new Set<Promise<void>>()
      let read = 0
      const passed = reportProgress(onProgress, () => (Array.isArray(items) ? items.length : read))
      const embed = async (input: ItemInput, index: number) => {
        try {
          const value = await this.#embedWaiting(input, { call, priority, passed: passed(index) })
          results[index] = { status: 'fulfilled', value }
        } catch (failure) {
          results[index] = { status: 'rejected', reason: atItem(failure, index) }
        }
      }
      try {
        for await (const input of untilAborted(items, call.signal)) {
          const one = embed(input, read++).finally(() => underWay.delete(one))
          underWay.add(one)
          if (underWay.size >= MANY_IN_FLIGHT) await Promise.race(underWay)
        }
      } catch (failure) {
        call.fail(failure)
      }
      await Promise.all(underWay)
      call.signal.throwIfAborted()
      return results
    })
  }

  async *segments(video: Video, options: SegmentOptions): AsyncGenerator<Segment, void, undefined> {
    const { start, end, frameRule, frameTolerance, priority = 'bulk', signal } = options
    const windows = windowsOf(options)
    const call = this.#calls.begin(signal)
    let pass: SegmentPass
    try {
      const input = { video, start, end, frameRule, frameTolerance }
      const item = await parseItem(input, this.#rules, { signal: call.signal })
      if (item.kind !== 'video') throw new InternalError('a video became something else: this is a bug')
      const lease = await this.#admitWaiting(costOf([item]), call.signal)
      const newWork = () => this.#newWork({ kind: 'video', priority, signal: call.signal, lease })
      const stay = this.#pipelines.enter('clip')
      pass = new SegmentPass({ ...stay, call, lease, newWork, item, windows })
    } catch (failure) {
      call.end({ failure })
      throw failure
    }
    yield* pass.run()
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
    return this.#stats.observe(listener)
  }

  dispose({ drain = false }: DisposeOptions = {}): Promise<void> {
    this.#calls.close()
    this.#status = { ready: false, code: 'closed', reason: 'the embedder is closed' }
    if (!drain) this.#calls.cancel()
    this.#freed ??= this.#free()
    return this.#freed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  #embedOne(input: ItemInput, { signal, priority = 'query' }: ItemOptions): Promise<ItemResult> {
    return this.#calls.run(signal, async (call) => {
      const item = await parseItem(input, this.#rules, { signal: call.signal })
      const lease = this.#admit(costOf([item]))
      try {
        return await this.#embedItem(await this.#pipelines.prepare(item), { call, priority, lease })
      } finally {
        lease.release()
      }
    })
  }

  /** As {@link LocalEmbedder.#embedOne}, for one item of a long list. */
  async #embedWaiting(input: ItemInput, { call, priority, passed }: Omit<Way, 'lease'>): Promise<ItemResult> {
    const item = await parseItem(input, this.#rules, { signal: call.signal })
    const lease = await this.#admitWaiting(costOf([item]), call.signal)
    try {
      return await this.#embedItem(await this.#pipelines.prepare(item), { call, priority, lease, passed })
    } finally {
      lease.release()
    }
  }

  async #embedAll(
    items: readonly Item[],
    { passed, ...way }: Omit<Way, 'passed'> & { passed: (index: number) => Passed },
  ): Promise<ItemResult[]> {
    // First all tokens, then all the rest, so that the texts of a request can share a batch.
    const ready = await allOrNothing(way.call, items, (item) => this.#pipelines.prepare(item))
    return allOrNothing(way.call, ready, (item, index) =>
      this.#embedItem(item, { ...way, passed: passed(index) }),
    )
  }

  async #embedItem(item: ReadyItem, { call, priority, lease, passed }: Way): Promise<ItemResult> {
    const work = this.#newWork({ kind: item.kind, priority, signal: call.signal, lease, passed })
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
    await closeDevices(this.#devices)
  }

  #gpuStats(): EmbedderStats['gpus'] {
    return this.#devices.flatMap(({ gpu }) => (gpu ? [{ device: gpu.info.device, ...gpu.stats() }] : []))
  }

  #admit(cost: Cost): Lease {
    this.#checkPossible(cost)
    const lease = this.#admission.tryAcquire(cost)
    if (lease) return lease
    const { items, bytes, limits } = this.#admission
    throw new OverloadedError(
      `${items} of ${limits.items} items and ${bytes} of ${limits.bytes} bytes are in flight: ` +
        `no room for ${cost.items} items of ${cost.bytes} bytes now`,
      { retryAfter: this.#stats.retryAfter(), details: { items, bytes, ...prefixed(limits) } },
    )
  }

  #admitWaiting(cost: Cost, signal: AbortSignal): Promise<Lease> {
    this.#checkPossible(cost)
    return this.#admission.acquire(cost, signal)
  }

  #checkPossible(cost: Cost) {
    if (this.#admission.couldFit(cost)) return
    const { bytes } = this.#admission.limits
    throw new RequestTooLargeError(
      `the request holds ${cost.bytes} bytes of media, more than admission.maxBytes ${bytes}: send files or URLs`,
      { details: { found: cost.bytes, limit: bytes } },
    )
  }
}

type Passed = (stage: ProgressStage) => void

/** What an item needs to know of its call. */
interface Way {
  call: Call
  priority: Priority
  lease: Lease
  passed?: Passed | undefined
}

/** The first failure stops the others. Settles when none of them runs any more. */
async function allOrNothing<From, To>(
  call: Call,
  inputs: readonly From[],
  step: (input: From, index: number) => Promise<To>,
): Promise<To[]> {
  const outputs = inputs.map(async (input, index) => {
    try {
      return await step(input, index)
    } catch (failure) {
      call.fail(atItem(failure, index))
      throw failure
    }
  })
  await Promise.allSettled(outputs)
  call.signal.throwIfAborted()
  return Promise.all(outputs)
}

function costOf(items: readonly Item[]): Cost {
  return { items: items.length, bytes: items.reduce((sum, item) => sum + heldBytes(item), 0) }
}

function prefixed({ items, bytes }: Cost) {
  return { maxItems: items, maxBytes: bytes }
}

function isFrames(video: Video | FramesInput): video is FramesInput {
  return typeof video === 'object' && Array.isArray((video as Partial<FramesInput>).frames)
}

function reportProgress(onProgress: ((progress: Progress) => void) | undefined, total: () => number) {
  const done = { download: 0, decode: 0, encode: 0 }
  return (index: number) => (stage: ProgressStage) => {
    done[stage]++
    onProgress?.({ stage, done: done[stage], total: total(), index })
  }
}
