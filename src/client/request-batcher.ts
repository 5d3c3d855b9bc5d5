/** Batches waiting items into requests, and splits a request again when one of its items is bad. */
import { abortable } from '../base/abort.ts'
import { withIndex } from '../base/item-errors.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import type { Call } from '../call/calls.ts'
import type { CosmosEmbedError } from '../errors.ts'
import type { Priority, RequestType } from '../types.ts'
import type { BatchVectors } from './response.ts'
import type { Embedded } from './types.ts'
import type { WireItem } from './wire-item.ts'

/** An item and its position in the caller's list. */
export interface BatchEntry {
  item: WireItem
  index: number
}

export interface RequestBatch {
  requestType: RequestType
  entries: readonly BatchEntry[]
}

export interface RequestBatcherOptions {
  call: Pick<Call, 'signal' | 'fail'>
  priority: Priority
  /** Maximum number of items in one bulk request. */
  batchSize: number
  /** Maximum number of requests in flight. Below it, an item does not wait for a full batch. */
  maxParallel: number
  /** Rejects with a CosmosEmbedError whose `index` is the position in the batch, or with the call's reason. */
  send(batch: RequestBatch): Promise<BatchVectors>
}

interface PendingEntry extends BatchEntry {
  resolve(embedded: Embedded): void
  reject(reason: unknown): void
}

/** The request type for an item: inline media and queries are sent alone, everything else in bulk. */
export function requestTypeOf({ kind, inline }: WireItem, priority: Priority): RequestType {
  if (inline || priority === 'query') return 'query'
  return kind === 'text' ? 'bulk_text' : 'bulk_video'
}

/**
 * Batches the items of one call. A request is sent when it is full or when fewer than `maxParallel` are in flight, so
 * requests grow while others are in flight.
 */
export class RequestBatcher {
  readonly #options: RequestBatcherOptions
  readonly #pending: Record<RequestType, PendingEntry[]> = { query: [], bulk_text: [], bulk_video: [] }
  #inFlight = 0
  #isScheduled = false

  constructor(options: RequestBatcherOptions) {
    this.#options = options
  }

  /** Rejects with a CosmosEmbedError about the item, or with the call's reason. */
  embed(item: WireItem, index: number): Promise<Embedded> {
    const { call, priority, batchSize } = this.#options
    const requestType = requestTypeOf(item, priority)
    const embedding = new Promise<Embedded>((resolve, reject) => {
      const size = this.#pending[requestType].push({ item, index, resolve, reject })
      if (requestType === 'query' || size >= batchSize) this.#start(requestType)
      else this.#schedule()
    })
    return abortable(embedding, call.signal).finally(() => item.release())
  }

  /** Starts pending requests in a later turn of the event loop, so that items added in this turn share one. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setTimeout(() => {
      this.#isScheduled = false
      this.#startPending()
    }, 0)
  }

  /** Starts requests up to `maxParallel`, the one whose first item has waited longest first. */
  #startPending(): void {
    while (this.#inFlight < this.#options.maxParallel) {
      const [next] = (['bulk_text', 'bulk_video'] as const)
        .flatMap((type) => this.#pending[type].slice(0, 1).map(({ index }) => ({ type, index })))
        .sort((a, b) => a.index - b.index)
      if (!next) return
      this.#start(next.type)
    }
  }

  #start(requestType: RequestType): void {
    const entries = this.#pending[requestType].splice(0)
    this.#inFlight += 1
    void this.#settle(requestType, entries)
      .catch((failure: unknown) => {
        this.#options.call.fail(failure)
        for (const { reject } of entries) reject(failure)
      })
      .finally(() => {
        this.#inFlight -= 1
        this.#startPending()
      })
  }

  /**
   * A bulk request succeeds or fails as a whole. If the failure names an item, that item is rejected. The rest are sent
   * again in two halves, so that the number of extra requests grows with the number of bad items, not of good ones.
   * Rejects with a failure that no item causes.
   */
  async #settle(requestType: RequestType, entries: readonly PendingEntry[]): Promise<void> {
    const { call, send } = this.#options
    const sent = await send({ requestType, entries }).catch((thrown: unknown) => {
      call.signal.throwIfAborted()
      return toCosmosEmbedError(thrown)
    })
    if (!(sent instanceof Error)) {
      for (const [position, { item, resolve }] of entries.entries()) resolve(embedded(item, sent, position))
      return
    }
    const failure = sent
    if (failure.code === 'remote_rejected' || failure.code === 'device_lost') throw failure
    if (entries.length === 1 || !maySucceedSplit(failure)) {
      for (const { index, reject } of entries) reject(withIndex(failure, index))
      return
    }
    const bad = failure.index === undefined ? undefined : entries[failure.index]
    if (bad) bad.reject(withIndex(failure, bad.index))
    const rest = entries.filter((entry) => entry !== bad)
    const middle = Math.ceil(rest.length / 2)
    for (const half of [rest.slice(0, middle), rest.slice(middle)]) {
      if (half.length > 0) await this.#settle(requestType, half)
    }
  }
}

/** The result of the item at `position` of a request. */
export function embedded(
  { kind }: WireItem,
  { vectors, warnings }: BatchVectors,
  position: number,
): Embedded {
  return {
    kind,
    embedding: vectors[position] as Float32Array,
    warnings: warnings
      .filter(({ index }) => index === position)
      .map(({ code, message }) => ({ code, message })),
  }
}

/** Whether a part of the request may succeed: not if the server never judged the items, or refused for another reason. */
function maySucceedSplit({ code, message, details, index }: CosmosEmbedError): boolean {
  if (index !== undefined || details.status === 500) return true
  if (details.status === undefined || /^model\b/i.test(message)) return false
  return !['overloaded', 'not_ready', 'remote_failed'].includes(code)
}
