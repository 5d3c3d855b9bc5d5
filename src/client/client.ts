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
import { type Vectors, vectorsOf } from './answer.ts'
import { type Batch, embedded, Gatherer, requestTypeOf } from './batches.ts'
import { checkCall, type ResolvedClient, resolveClient } from './options.ts'
import { checkRequest, requestParts, together } from './request.ts'
import { Transport, type Way } from './transport.ts'
import type { ClientOptions, Embedded, EmbedderClient, ModelFacts, SettledEmbedded } from './types.ts'
import { CLIP_FRAMES, isFrames, wireItem } from './wire.ts'

/** What the NIM is called, which has no list of its models. */
const nimModel = 'nvidia/cosmos-embed1'

/** An embedder behind HTTP. Nothing is sent until it is called. Throws InvalidArgumentError. */
export function createClient(options: ClientOptions): EmbedderClient {
  return new HttpEmbedder(resolveClient(options))
}

/** One call on its way to the server. */
interface Asked extends Way {
  call: Pick<Call, 'signal' | 'fail'>
  priority: Priority
}

class HttpEmbedder implements EmbedderClient {
  readonly #options: ResolvedClient
  readonly #transport: Transport
  readonly #calls = new Calls('client')
  /** Somebody waits for a query: it is not behind bulk work. */
  readonly #slots: Record<Priority, PrioritySemaphore>
  /** Of what no caller owns. */
  readonly #life = new AbortController()
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
    holding((request as EmbedRequest | undefined)?.input, () =>
      this.#request(request, options),
    )) as EmbedderClient['embed']

  async #request(request: EmbedRequest, options: EmbedOptions | undefined): Promise<EmbedResponse> {
    const began = performance.now()
    const { signal, whenFull, onProgress } = checkCall(options, 'signal whenFull onProgress')
    const { requestType, format, inputs, model } = checkRequest(request)
    return this.#calls.run(signal, async (call) => {
      const priority = requestType === 'query' ? 'query' : 'bulk'
      const asked: Asked = { call, signal: call.signal, whenFull, priority }
      let done = 0
      const answers = await allOrNothing(call, requestParts(requestType, inputs), async (part) => {
        const vectors = await this.#send(part, asked, model).catch((failure: unknown) => {
          throw movedFailure(failure, part)
        })
        for (const { index } of part.entries) {
          const input = inputs[index]
          const key = typeof input === 'object' ? input.key : undefined
          onProgress?.(progress({ done: ++done, total: inputs.length, index, key }))
        }
        return { part, vectors }
      })
      return together(answers, { format, count: inputs.length, totalMs: performance.now() - began })
    })
  }

  embedText(text: string, options?: ItemOptions): Promise<Embedded> {
    return this.#one({ text }, options)
  }

  embedVideo(video: Video | FramesInput, options?: ItemOptions): Promise<Embedded> {
    return this.#one(isFrames(video) ? video : { video }, options)
  }

  embedImage(image: Picture, options?: ItemOptions): Promise<Embedded> {
    return this.#one({ frames: Array.from({ length: CLIP_FRAMES }, () => image) }, options)
  }

  async embedMany<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedManyOptions,
  ): Promise<SettledEmbedded<I>[]> {
    const given = checkCall(options, 'signal whenFull priority onProgress')
    return this.#calls.run(given.signal, async (call) => {
      const results: SettledEmbedded<I>[] = []
      for await (const one of this.#stream(call, items, given).results()) results[one.index] = one
      return results
    })
  }

  async *embedStream<I extends ItemInput>(
    items: Iterable<I> | AsyncIterable<I>,
    options?: EmbedStreamOptions,
  ): AsyncGenerator<SettledEmbedded<I>, void, undefined> {
    const given = checkCall(options, 'signal whenFull priority onProgress concurrency ordered')
    const call = this.#calls.begin(given.signal)
    yield* streamResults(call, this.#stream(call, items, given))
  }

  #stream<I extends ItemInput>(
    call: Call,
    items: Iterable<I> | AsyncIterable<I>,
    { priority = 'bulk', whenFull, onProgress, ...way }: EmbedStreamOptions,
  ): ItemStream<I, SettledEmbedded<I>> {
    const { batchSize, maxParallel } = this.#options
    const asked: Asked = { call, signal: call.signal, whenFull, priority }
    const send = (batch: Batch) => this.#send(batch, asked)
    const gatherer = new Gatherer({ call, priority, batchSize, maxParallel, send })
    let read = 0
    let done = 0
    const embedOne = async (input: I, index: number) => {
      read = index + 1
      const one = await settleItem(input, index, async () => gatherer.embed(wireItem(input), index))
      if (one.status === 'fulfilled') {
        const total = Array.isArray(items) ? items.length : read
        onProgress?.(progress({ done: ++done, total, index, key: one.key }))
      }
      return one
    }
    // Full requests for all that may be under way, and as many again that are read meanwhile.
    const { concurrency = 2 * batchSize * maxParallel, ordered = false } = way
    return new ItemStream(call, items, embedOne, { concurrency, ordered })
  }

  classify(
    video: Video | FramesInput,
    labels: readonly string[],
    options?: ItemOptions,
  ): Promise<LabelScore[]> {
    return holding({ video }, () => this.#classify(video, labels, options))
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
      const asked: Asked = { call, signal: call.signal, whenFull, priority }
      const bulks = bulksOf(labels, this.#options.batchSize)
      const seen = wireItem(isFrames(video) ? video : { video })
      const seeing: Batch = {
        requestType: requestTypeOf(seen, priority),
        entries: [{ item: seen, index: 0 }],
      }
      const batches = [seeing, ...bulks]
      const answers = await withoutIndex(allOrNothing(call, batches, (batch) => this.#send(batch, asked)))
      const [query, ...said] = answers.flatMap(({ vectors }) => vectors)
      if (!query) throw new RemoteError('a video became nothing: this is a bug')
      return rank(query, said).map(({ index, score }) => ({ label: labels[index] as string, score }))
    })
  }

  info(): Promise<ModelFacts> {
    return this.#calls.run(undefined, () => {
      this.#facts ??= this.#learn().catch((failure: unknown) => {
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
      this.#life.abort(this.#calls.closedError())
    }
    await this.#calls.idle()
    this.#life.abort(this.#calls.closedError())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  #one(input: ItemInput, options: ItemOptions | undefined): Promise<Embedded> {
    return holding(input, async () => {
      const { signal, whenFull, priority = 'query' } = checkCall(options)
      return this.#calls.run(signal, (call) =>
        withoutIndex(this.#item(input, { call, signal: call.signal, whenFull, priority })),
      )
    })
  }

  async #item(input: ItemInput, asked: Asked): Promise<Embedded> {
    const item = wireItem(input)
    const requestType = requestTypeOf(item, asked.priority)
    return embedded(item, await this.#send({ requestType, entries: [{ item, index: 0 }] }, asked), 0)
  }

  /** Rejects with a CosmosEmbedError whose `index` is the place in the batch, or with the call's reason. */
  async #send({ requestType, entries }: Batch, asked: Asked, named?: string): Promise<Vectors> {
    const { signal, priority } = asked
    try {
      return await this.#slots[priority].run(priority, signal, async () => {
        const model = named ?? (await this.#modelName(signal))
        const { maxInlineBytes } = this.#options
        const inputs: string[] = []
        for (const [place, { item }] of entries.entries()) {
          const text = await item.write({ maxInlineBytes, signal }).catch((failure: unknown) => {
            signal.throwIfAborted()
            throw addItemIndex(toCosmosEmbedError(failure), place)
          })
          inputs.push(text)
        }
        const input = requestType === 'query' && inputs.length === 1 ? inputs[0] : inputs
        const body = { request_type: requestType, input, model, encoding_format: 'base64' }
        return vectorsOf(await this.#transport.post('/v1/embeddings', body, asked), entries.length)
      })
    } finally {
      for (const { item } of entries) item.release()
    }
  }

  /** A caller who gives up does not take the name away from the others who wait for it. */
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
    const answer = await this.#transport.get('/v1/models', { signal: this.#life.signal })
    if (answer.status === 404 || answer.status === 405) return nimModel
    const { data } = readJson(answer.text) as { data?: { id?: unknown }[] }
    const id = Array.isArray(data) ? data[0]?.id : undefined
    if (typeof id === 'string' && id !== '') return id
    throw new RemoteError('the server lists no model: name one as `model`', { permanent: true })
  }

  async #learn(): Promise<ModelFacts> {
    const { signal } = this.#life
    const id = await this.#modelName(signal)
    const answer = await this.#transport.get('/v1/metadata', { signal })
    const { model } = readJson(answer.text) as { model?: { embeddingDim?: unknown; fingerprint?: unknown } }
    const { embeddingDim, fingerprint } = model ?? {}
    if (typeof embeddingDim === 'number' && typeof fingerprint === 'string') {
      return { model: { id, embeddingDim, fingerprint } }
    }
    const item = wireItem({ text: 'dimension' })
    const batch: Batch = { requestType: 'query', entries: [{ item, index: 0 }] }
    const asked: Asked = { call: { signal, fail: () => {} }, signal, priority: 'query' }
    const embedding = (await this.#send(batch, asked)).vectors[0] as Float32Array
    return { model: { id, embeddingDim: embedding.length } }
  }
}

/** A stream is the call's from the moment it is passed, and closed when the call ends, whichever way. */
async function holding<T>(inputs: unknown, work: () => Promise<T>): Promise<T> {
  const release = adoptStreams(inputs)
  try {
    return await work()
  } finally {
    release()
  }
}

/** What is downloaded and decoded, only the server sees. */
function progress(told: Omit<Progress, 'stage'>): Progress {
  return { stage: 'encode', ...told }
}

function bulksOf(texts: readonly string[], batchSize: number): Batch[] {
  const entries = texts.map((text, index) => ({ item: wireItem({ text }), index }))
  return Array.from({ length: Math.ceil(entries.length / batchSize) }, (_, i) => ({
    requestType: 'bulk_text',
    entries: entries.slice(i * batchSize, (i + 1) * batchSize),
  }))
}

/** There is no list that the index would be a place in. */
function withoutIndex<T>(work: Promise<T>): Promise<T> {
  return work.catch((failure: unknown) => {
    throw failure instanceof CosmosEmbedError ? withIndex(failure, undefined) : failure
  })
}

/** The same about the item of the caller's list. */
function movedFailure(failure: unknown, { entries }: Batch): unknown {
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

/** The first failure stops the others. */
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
