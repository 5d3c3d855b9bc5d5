/** Items that wait together become one request, which is taken apart again where one of them is bad. */
import { abortable } from '../base/abort.ts'
import { withIndex } from '../base/item-errors.ts'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import type { Call } from '../call/calls.ts'
import type { CosmosEmbedError } from '../errors.ts'
import type { Priority, RequestType } from '../types.ts'
import type { Vectors } from './answer.ts'
import type { Embedded } from './types.ts'
import type { WireItem } from './wire.ts'

/** An item and its place in the caller's list. */
export interface Entry {
  item: WireItem
  index: number
}

export interface Batch {
  requestType: RequestType
  entries: readonly Entry[]
}

export interface GathererWay {
  call: Pick<Call, 'signal' | 'fail'>
  priority: Priority
  /** Items of one bulk request. */
  batchSize: number
  /** Requests at one time. While there are fewer, an item waits for no company. */
  maxParallel: number
  /** Rejects with a CosmosEmbedError whose `index` is the place in the batch, or with the call's reason. */
  send(batch: Batch): Promise<Vectors>
}

interface Waiting extends Entry {
  resolve(embedded: Embedded): void
  reject(reason: unknown): void
}

/** How one item by itself, or several of a kind, are asked for. */
export function requestTypeOf({ kind, inline }: WireItem, priority: Priority): RequestType {
  if (inline || priority === 'query') return 'query'
  return kind === 'text' ? 'bulk_text' : 'bulk_video'
}

/**
 * Of one call. A request begins when it is full, or when there is nothing better to do: so requests grow with what comes
 * while others are under way.
 */
export class Gatherer {
  readonly #way: GathererWay
  readonly #gathered: Record<RequestType, Waiting[]> = { query: [], bulk_text: [], bulk_video: [] }
  #underWay = 0
  #waits = false

  constructor(way: GathererWay) {
    this.#way = way
  }

  /** Rejects with a CosmosEmbedError about the item, or with the call's reason. */
  embed(item: WireItem, index: number): Promise<Embedded> {
    const { call, priority, batchSize } = this.#way
    const requestType = requestTypeOf(item, priority)
    const embedding = new Promise<Embedded>((resolve, reject) => {
      const size = this.#gathered[requestType].push({ item, index, resolve, reject })
      if (requestType === 'query' || size >= batchSize) this.#begin(requestType)
      else this.#beginSoon()
    })
    return abortable(embedding, call.signal).finally(() => item.release())
  }

  /** In a turn of its own, when what comes at once has come. */
  #beginSoon(): void {
    if (this.#waits) return
    this.#waits = true
    setTimeout(() => {
      this.#waits = false
      this.#beginRest()
    }, 0)
  }

  /** What has waited longest, first. */
  #beginRest(): void {
    while (this.#underWay < this.#way.maxParallel) {
      const [next] = (['bulk_text', 'bulk_video'] as const)
        .flatMap((type) => this.#gathered[type].slice(0, 1).map(({ index }) => ({ type, index })))
        .sort((a, b) => a.index - b.index)
      if (!next) return
      this.#begin(next.type)
    }
  }

  #begin(requestType: RequestType): void {
    const entries = this.#gathered[requestType].splice(0)
    this.#underWay += 1
    void this.#settle(requestType, entries)
      .catch((failure: unknown) => {
        this.#way.call.fail(failure)
        for (const { reject } of entries) reject(failure)
      })
      .finally(() => {
        this.#underWay -= 1
        this.#beginRest()
      })
  }

  /**
   * A bulk request is answered whole or not at all. Where an item is named as the reason, it fails; the others are sent
   * again in two halves, so that the cost of some bad items grows with their number and not with that of the good ones.
   * Rejects with what no item is the reason of.
   */
  async #settle(requestType: RequestType, entries: readonly Waiting[]): Promise<void> {
    const { call, send } = this.#way
    const sent = await send({ requestType, entries }).catch((thrown: unknown) => {
      call.signal.throwIfAborted()
      return toCosmosEmbedError(thrown)
    })
    if (!(sent instanceof Error)) {
      for (const [place, { item, resolve }] of entries.entries()) resolve(embedded(item, sent, place))
      return
    }
    const failure = sent
    if (failure.code === 'remote_rejected' || failure.code === 'device_lost') throw failure
    if (entries.length === 1 || !concernsItems(failure)) {
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

export function embedded({ kind }: WireItem, { vectors, warnings }: Vectors, place: number): Embedded {
  return {
    kind,
    embedding: vectors[place] as Float32Array,
    warnings: warnings.filter(({ index }) => index === place).map(({ code, message }) => ({ code, message })),
  }
}

/** Whether some of the items could be embedded without the others. What the server never saw says nothing of them. */
function concernsItems({ code, message, details, index }: CosmosEmbedError): boolean {
  if (index !== undefined || details.status === 500) return true
  if (details.status === undefined || /^model\b/i.test(message)) return false
  return !['overloaded', 'not_ready', 'remote_failed'].includes(code)
}
