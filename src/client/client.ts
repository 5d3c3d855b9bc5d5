/** The embedder behind HTTP: its calls, and how they become requests. */
import { abortable } from '../base/abort.ts'
import { addItemIndex, withIndex } from '../base/item-errors.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { rank } from '../base/similarity.ts'
import { type Call, Calls } from '../call/calls.ts'
import { ItemStream, settleItem, streamResults } from '../call/item-stream.ts'
import { CosmosEmbedError, InvalidArgumentError, RemoteError } from '../errors.ts'
import { PrioritySemaphore } from '../schedule/priority-semaphore.ts'
import { adoptStreams } from '../source/input-streams.ts'
import type {
  DisposeOptions,
  EmbedManyOptions,
  EmbedOptions,
  EmbedRequest,
  EmbedResponse,
  EmbedStreamOptions,
  FramesInput,
  ItemInput,
  ItemOptions,
  LabelScore,
  Picture,
  Priority,
  Progress,
  Video,
} from '../types.ts'
import { checkCall, type ResolvedClient, resolveClient } from './options.ts'
import { checkRequest, mergeResponses, splitRequest } from './request.ts'
import { embedded, type RequestBatch, RequestBatcher, requestTypeOf } from './request-batcher.ts'
import { type BatchVectors, parseVectors } from './response.ts'
import { type SendOptions, Transport } from './transport.ts'
import type { ClientOptions, Embedded, EmbedderClient, ModelFacts, SettledEmbedded } from './types.ts'
import { CLIP_FRAMES, isFrames, wireItem } from './wire-item.ts'

/** Name of the NIM's model: the NIM has no `/v1/models`. */
const nimModel = 'nvidia/cosmos-embed1'

/**
 * Creates an embedder that calls a server over HTTP: `cosmos-embed serve`, NVIDIA's NIM or its open-source server. It needs
 * only `fetch`, and sends nothing until one of its methods is called.
 *
 * Throws InvalidArgumentError for an option that can never work.
 *
 * ```ts
 * await using embedder = createClient({ url: 'http://127.0.0.1:8000' })
 * const { embedding } = await embedder.embedText('a red car turning left')
 * ```
 */
export function createClient(options: ClientOptions): EmbedderClient {
  return new HttpEmbedder(resolveClient(options))
}

/** What the requests of one call share. */
interface CallContext extends SendOptions {
  call: Pick<Call, 'signal' | 'fail'>
  priority: Priority
}

class HttpEmbedder implements EmbedderClient {
  readonly #options: ResolvedClient
  readonly #transport: Transport
  readonly #calls = new Calls('client')
  /** Queries have slots of their own, so that they never wait behind bulk work. */
  readonly #slots: Record<Priority, PrioritySemaphore>
  /** Aborts requests that no single call owns, such as the one for the model's name. */
  readonly #lifetime = new AbortController()
  #model: Promise<string> | undefined
  #facts: Promise<ModelFacts> | undefined

  constructor(options: ResolvedClient) {
    this.#options = options
    this.#transport = new Transport(options)
    this.#slots = {
      query: new PrioritySemaphore(options.maxParallel),
      bulk: new PrioritySemaphore(options.maxParallel),
    }
  }

  embed = ((request: EmbedRequest, options?: EmbedOptions): Promise<EmbedResponse> =>
    withHeldStreams((request as EmbedRequest | undefined)?.input, () =>
      this.#request(request, options),
    )) as EmbedderClient['embed']

  async #request(request: EmbedRequest, options: EmbedOptions | undefined): Promise<EmbedResponse> {
    const began = performance.now()
    const { signal, whenFull, onProgress } = checkCall(options, 'signal whenFull onProgress')
    const { requestType, format, inputs, model } = checkRequest(request)
    return this.#calls.run(signal, async (call) => {
      const priority = requestType === 'query' ? 'query' : 'bulk'
      const context: CallContext = { call, signal: call.signal, whenFull, priority }
      let done = 0
      const answers = await allOrNothing(call, splitRequest(requestType, inputs), async (part) => {
        const vectors = await this.#send(part, context, model).catch((failure: unknown) => {
          throw withRequestIndex(failure, part)
        })
        for (const { index } of part.entries) {
          const input = inputs[index]
          const key = typeof input === 'object' ? input.key : undefined
          onProgress?.(progress({ done: ++done, total: inputs.length, index, key }))
        }
        return { part, vectors }
      })
      return mergeResponses(answers, { format, count: inputs.length, totalMs: performance.now() - began })
    })
  }

  embedText(text: string, options?: ItemOptions): Promise<Embedded> {
    return this.#embedSingle({ text }, options)
  }

  embedVideo(video: Video | FramesInput, options?: ItemOptions): Promise<Embedded> {
    return this.#embedSingle(isFrames(video) ? video : { video }, options)
  }

  embedImage(image: Picture, options?: ItemOptions): Promise<Embedded> {
    return this.#embedSingle({ frames: Array.from({ length: CLIP_FRAMES }, () => image) }, options)
  }

  async embedMany<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedManyOptions,
  ): Promise<SettledEmbedded<I>[]> {
    const callOptions = checkCall(options, 'signal whenFull priority onProgress')
    return this.#calls.run(callOptions.signal, async (call) => {
      const results: SettledEmbedded<I>[] = []
      for await (const result of this.#stream(call, items, callOptions).results())
        results[result.index] = result
      return results
    })
  }

  async *embedStream<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedStreamOptions,
  ): AsyncGenerator<SettledEmbedded<I>, void, undefined> {
    const callOptions = checkCall(options, 'signal whenFull priority onProgress concurrency ordered')
    const call = this.#calls.begin(callOptions.signal)
    yield* streamResults(call, this.#stream(call, items, callOptions))
  }

  #stream<I extends ItemInput>(
    call: Call,
    items: Iterable<I> | AsyncIterable<I>,
    { priority = 'bulk', whenFull, onProgress, ...streaming }: EmbedStreamOptions,
  ): ItemStream<I, SettledEmbedded<I>> {
    const { batchSize, maxParallel } = this.#options
    const context: CallContext = { call, signal: call.signal, whenFull, priority }
    const send = (batch: RequestBatch) => this.#send(batch, context)
    const batcher = new RequestBatcher({ call, priority, batchSize, maxParallel, send })
    let read = 0
    let done = 0
    const embedOne = async (input: I, index: number) => {
      read = index + 1
      const result = await settleItem(input, index, async () => batcher.embed(wireItem(input), index))
      if (result.status === 'fulfilled') {
        const total = Array.isArray(items) ? items.length : read
        onProgress?.(progress({ done: ++done, total, index, key: result.key }))
      }
      return result
    }
    // Enough items to fill all parallel requests, and as many again to fill the next ones meanwhile.
    const { concurrency = 2 * batchSize * maxParallel, ordered = false } = streaming
    return new ItemStream(call, items, embedOne, { concurrency, ordered })
  }

  classify(
    video: Video | FramesInput,
    labels: readonly string[],
    options?: ItemOptions,
  ): Promise<LabelScore[]> {
    return withHeldStreams({ video }, () => this.#classify(video, labels, options))
  }

  async #classify(
    video: Video | FramesInput,
    labels: readonly string[],
    options: ItemOptions | undefined,
  ): Promise<LabelScore[]> {
    if (!Array.isArray(labels) || labels.length === 0 || labels.some((label) => typeof label !== 'string')) {
      throw new InvalidArgumentError('labels: must be a list of at least one text')
    }
    const { signal, whenFull, priority = 'query' } = checkCall(options)
    return this.#calls.run(signal, async (call) => {
      const context: CallContext = { call, signal: call.signal, whenFull, priority }
      const labelBatches = textBatches(labels, this.#options.batchSize)
      const item = wireItem(isFrames(video) ? video : { video })
      const videoBatch: RequestBatch = {
        requestType: requestTypeOf(item, priority),
        entries: [{ item, index: 0 }],
      }
      const batches = [videoBatch, ...labelBatches]
      const answers = await withoutIndex(allOrNothing(call, batches, (batch) => this.#send(batch, context)))
      const [query, ...labelVectors] = answers.flatMap(({ vectors }) => vectors)
      if (!query) throw new RemoteError('the video has no vector: this is a bug')
      return rank(query, labelVectors).map(({ index, score }) => ({ label: labels[index] as string, score }))
    })
  }

  info(): Promise<ModelFacts> {
    return this.#calls.run(undefined, () => {
      this.#facts ??= this.#fetchFacts().catch((failure: unknown) => {
        this.#facts = undefined
        throw failure
      })
      return this.#facts
    })
  }

  async dispose({ drain = false }: DisposeOptions = {}): Promise<void> {
    this.#calls.close()
    if (drain) {
      this.#calls.drain()
    } else {
      this.#calls.cancel()
      this.#lifetime.abort(this.#calls.closedError())
    }
    await this.#calls.idle()
    this.#lifetime.abort(this.#calls.closedError())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  #embedSingle(input: ItemInput, options: ItemOptions | undefined): Promise<Embedded> {
    return withHeldStreams(input, async () => {
      const { signal, whenFull, priority = 'query' } = checkCall(options)
      return this.#calls.run(signal, (call) =>
        withoutIndex(this.#embedItem(input, { call, signal: call.signal, whenFull, priority })),
      )
    })
  }

  async #embedItem(input: ItemInput, context: CallContext): Promise<Embedded> {
    const item = wireItem(input)
    const requestType = requestTypeOf(item, context.priority)
    return embedded(item, await this.#send({ requestType, entries: [{ item, index: 0 }] }, context), 0)
  }

  /** Rejects with a CosmosEmbedError whose `index` is the position in the batch, or with the call's reason. */
  async #send(
    { requestType, entries }: RequestBatch,
    context: CallContext,
    requestedModel?: string,
  ): Promise<BatchVectors> {
    const { signal, priority } = context
    try {
      return await this.#slots[priority].run(priority, signal, async () => {
        const model = requestedModel ?? (await this.#modelName(signal))
        const { maxInlineBytes } = this.#options
        const inputs: string[] = []
        for (const [position, { item }] of entries.entries()) {
          const text = await item.write({ maxInlineBytes, signal }).catch((failure: unknown) => {
            signal.throwIfAborted()
            throw addItemIndex(toCosmosEmbedError(failure), position)
          })
          inputs.push(text)
        }
        const input = requestType === 'query' && inputs.length === 1 ? inputs[0] : inputs
        const body = { request_type: requestType, input, model, encoding_format: 'base64' }
        return parseVectors(await this.#transport.post('/v1/embeddings', body, context), entries.length)
      })
    } finally {
      for (const { item } of entries) item.release()
    }
  }

  /** All calls share one request for the name, which the abort of a single call does not cancel. */
  #modelName(signal: AbortSignal): Promise<string> {
    const { model } = this.#options
    if (model !== undefined) return Promise.resolve(model)
    this.#model ??= this.#firstModel().catch((failure: unknown) => {
      this.#model = undefined
      throw failure
    })
    return abortable(this.#model, signal)
  }

  async #firstModel(): Promise<string> {
    const answer = await this.#transport.get('/v1/models', { signal: this.#lifetime.signal })
    if (answer.status === 404 || answer.status === 405) return nimModel
    const { data } = readJson(answer.text) as { data?: { id?: unknown }[] }
    const id = Array.isArray(data) ? data[0]?.id : undefined
    if (typeof id === 'string' && id !== '') return id
    throw new RemoteError('the server lists no model: name one as `model`', { permanent: true })
  }

  async #fetchFacts(): Promise<ModelFacts> {
    const { signal } = this.#lifetime
    const id = await this.#modelName(signal)
    const answer = await this.#transport.get('/v1/metadata', { signal })
    const { model } = readJson(answer.text) as { model?: { embeddingDim?: unknown; fingerprint?: unknown } }
    const { embeddingDim, fingerprint } = model ?? {}
    if (typeof embeddingDim === 'number' && typeof fingerprint === 'string') {
      return { model: { id, embeddingDim, fingerprint } }
    }
    const item = wireItem({ text: 'dimension' })
    const batch: RequestBatch = { requestType: 'query', entries: [{ item, index: 0 }] }
    const context: CallContext = { call: { signal, fail: () => {} }, signal, priority: 'query' }
    const embedding = (await this.#send(batch, context)).vectors[0] as Float32Array
    return { model: { id, embeddingDim: embedding.length } }
  }
}

/** The call owns its input streams from the start, and closes them when it ends, however it ends. */
async function withHeldStreams<T>(inputs: unknown, work: () => Promise<T>): Promise<T> {
  const release = adoptStreams(inputs)
  try {
    return await work()
  } finally {
    release()
  }
}

/** The client reports only the last stage: downloads and decoding happen in the server. */
function progress(counts: Omit<Progress, 'stage'>): Progress {
  return { stage: 'encode', ...counts }
}

function textBatches(texts: readonly string[], batchSize: number): RequestBatch[] {
  const entries = texts.map((text, index) => ({ item: wireItem({ text }), index }))
  return Array.from({ length: Math.ceil(entries.length / batchSize) }, (_, i) => ({
    requestType: 'bulk_text',
    entries: entries.slice(i * batchSize, (i + 1) * batchSize),
  }))
}

/** Removes the index from errors of calls that take a single item. */
function withoutIndex<T>(work: Promise<T>): Promise<T> {
  return work.catch((failure: unknown) => {
    throw failure instanceof CosmosEmbedError ? withIndex(failure, undefined) : failure
  })
}

/** Turns the index within a part into the index within the caller's request. */
function withRequestIndex(failure: unknown, { entries }: RequestBatch): unknown {
  if (!(failure instanceof CosmosEmbedError) || failure.index === undefined) return failure
  return withIndex(failure, entries[failure.index]?.index)
}

function readJson(text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

/** Runs all steps at once. The first failure fails the call, which aborts the others. */
async function allOrNothing<From, To>(
  call: Pick<Call, 'fail'>,
  inputs: readonly From[],
  step: (input: From) => Promise<To>,
): Promise<To[]> {
  const outputs = inputs.map(async (input) => {
    try {
      return await step(input)
    } catch (failure) {
      call.fail(failure)
      throw failure
    }
  })
  await Promise.allSettled(outputs)
  return Promise.all(outputs)
}
