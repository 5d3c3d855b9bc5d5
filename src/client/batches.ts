/** Many items of one call: put together into requests, and taken apart again where one of them is bad. */
import { abortable } from '../abort.ts'
import { type CosmosEmbedError, InvalidArgumentError } from '../errors.ts'
import { atItem, withIndex } from '../item-errors.ts'
import type { ItemInput, Priority, RequestType } from '../types.ts'
import type { Vectors } from './answer.ts'
import { type Call, ours } from './calls.ts'
import type { Embedded, SettledEmbedded } from './types.ts'
import { type WireItem, wireItem } from './wire.ts'

/** An item and its place in the caller's list. */
export interface Entry {
  item: WireItem
  index: number
}

export interface Batch {
  requestType: RequestType
  entries: readonly Entry[]
}

export interface ManyWay {
  call: Call
  priority: Priority
  /** Items of one bulk request. */
  batchSize: number
  /** Requests that are begun before more items are read. */
  ahead: number
  /** Rejects with a CosmosEmbedError whose `index` is the place in the batch, or with the call's reason. */
  send(batch: Batch): Promise<Vectors>
  /** An item became a vector, of the `read` that the list has so far. */
  done(index: number, key: unknown, read: number): void
}

/** How one item by itself, or several of a kind, are asked for. */
export function requestTypeOf({ kind, inline }: WireItem, priority: Priority): RequestType {
  if (inline || priority === 'query') return 'query'
  return kind === 'text' ? 'bulk_text' : 'bulk_video'
}

/** Every item by itself, in order: one that fails is no matter of the others. Rejects with the call's reason. */
export async function settleAll<I extends ItemInput>(
  items: Iterable<I> | AsyncIterable<I>,
  way: ManyWay,
): Promise<SettledEmbedded<I>[]> {
  const keys: unknown[] = []
  const outcomes: (Embedded | CosmosEmbedError)[] = []
  const gathered: Record<RequestType, Entry[]> = { query: [], bulk_text: [], bulk_video: [] }
  const underWay = new Set<Promise<void>>()
  const begin = (requestType: RequestType) => {
    const entries = gathered[requestType].splice(0)
    const one = settle({ requestType, entries }, outcomes, {
      ...way,
      done: (index) => way.done(index, keys[index], keys.length),
    })
      .catch((failure: unknown) => way.call.fail(failure))
      .finally(() => underWay.delete(one))
    underWay.add(one)
  }
  try {
    for await (const input of untilAborted(items, way.call.signal)) {
      const index = keys.push((input as { key?: unknown } | null)?.key) - 1
      try {
        const item = wireItem(input)
        const requestType = requestTypeOf(item, way.priority)
        const size = gathered[requestType].push({ item, index })
        if (requestType === 'query' || size >= way.batchSize) begin(requestType)
      } catch (failure) {
        outcomes[index] = atItem(ours(failure), index)
      }
      while (underWay.size >= way.ahead) await Promise.race(underWay)
    }
    for (const type of ['bulk_text', 'bulk_video'] as const) if (gathered[type].length > 0) begin(type)
  } catch (failure) {
    way.call.fail(failure)
  }
  await Promise.all(underWay)
  for (const { item } of Object.values(gathered).flat()) item.release()
  way.call.signal.throwIfAborted()
  return outcomes.map((outcome, index) => {
    const key = keys[index]
    return outcome instanceof Error
      ? { status: 'rejected', key, reason: outcome }
      : { status: 'fulfilled', key, value: outcome }
  }) as SettledEmbedded<I>[]
}

/**
 * A bulk request is answered whole or not at all. Where an item is named as the reason, it fails; the others are sent
 * again in two halves, so that the cost of some bad items grows with their number and not with that of the good ones.
 * Rejects with what no item is the reason of.
 */
async function settle(
  batch: Batch,
  outcomes: (Embedded | CosmosEmbedError)[],
  way: Omit<ManyWay, 'done'> & { done(index: number): void },
): Promise<void> {
  const { requestType, entries } = batch
  const sent = await way.send(batch).catch((thrown: unknown) => {
    way.call.signal.throwIfAborted()
    return ours(thrown)
  })
  if (!(sent instanceof Error)) {
    for (const [place, { item, index }] of entries.entries()) {
      outcomes[index] = embedded(item, sent, place)
      way.done(index)
    }
    return
  }
  const failure = sent
  if (failure.code === 'remote_rejected' || failure.code === 'device_lost') throw failure
  if (entries.length === 1 || !concernsItems(failure)) {
    for (const { index } of entries) outcomes[index] = withIndex(failure, index)
    return
  }
  const bad = failure.index === undefined ? undefined : entries[failure.index]
  if (bad) outcomes[bad.index] = withIndex(failure, bad.index)
  const rest = entries.filter((entry) => entry !== bad)
  const middle = Math.ceil(rest.length / 2)
  for (const half of [rest.slice(0, middle), rest.slice(middle)]) {
    if (half.length > 0) await settle({ requestType, entries: half }, outcomes, way)
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

/** The items, one by one; throws `signal.reason` as soon as the signal aborts, even while the source hangs. */
async function* untilAborted<T>(
  items: Iterable<T> | AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  if (
    typeof items !== 'object' ||
    items === null ||
    !(Symbol.asyncIterator in items || Symbol.iterator in items)
  ) {
    throw new InvalidArgumentError('items: must be an iterable of inputs, such as an array')
  }
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  let ended = false
  try {
    for (;;) {
      const next = await abortable(Promise.resolve(iterator.next()), signal)
      ended = next.done === true
      if (next.done) return
      yield next.value
    }
  } finally {
    // Not awaited: where the source hangs, so does its `return`.
    if (!ended) void (async () => iterator.return?.())().catch(() => {})
  }
}
