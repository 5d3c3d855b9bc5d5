import { describe, expect, it } from 'vitest'
import type { Embedder, ItemInput } from '../../src/index.ts'
import { type BindingDouble, vectorOf } from './double.ts'
import { engines, h200, machineWith, tensorrt } from './gpu-support.ts'
import { random } from './random.ts'

const engineCache = await engines()
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

interface Call {
  what: string
  abort: AbortController
  settled: number
  failure?: unknown
}

/** A caller that does anything that the API allows and checks every result. */
class Caller {
  readonly calls: Call[] = []
  readonly #embedder: Embedder
  readonly #below: (n: number) => number

  constructor(embedder: Embedder, below: (n: number) => number) {
    this.#embedder = embedder
    this.#below = below
  }

  start() {
    const abort = new AbortController()
    const calls = { embed: this.#embed, many: this.#many, segments: this.#segments, text: this.#text }
    const what = Object.keys(calls)[this.#below(4)] as keyof typeof calls
    const call: Call = { what, abort, settled: 0 }
    this.calls.push(call)
    calls[what].call(this, abort.signal).then(
      () => call.settled++,
      (failure) => {
        call.settled++
        call.failure = failure
      },
    )
  }

  abortOne() {
    const call = this.calls[this.#below(Math.max(1, this.calls.length))]
    call?.abort.abort(call)
  }

  async #embed(signal: AbortSignal) {
    const ids = Array.from({ length: 1 + this.#below(12) }, () => this.#id())
    const input = ids.map((id) => ({ video: Uint8Array.of(id) }))
    const { data } = await this.#embedder.embed({ request_type: 'bulk_video', input }, { signal })
    expect(data.map(({ embedding }) => embedding)).toEqual(ids.map(vectorOf))
  }

  async #many(signal: AbortSignal) {
    const ids = Array.from({ length: this.#below(80) }, () => this.#id())
    const items = ids.map(
      (id): ItemInput => (id % 2 ? { video: Uint8Array.of(id) } : { text: 'x'.repeat(1 + (id % 29)) }),
    )
    const settled = await this.#embedder.embedMany(items, {
      signal,
      priority: this.#below(2) ? 'query' : 'bulk',
    })
    for (const [i, result] of settled.entries()) {
      const id = ids[i] ?? 0
      if (id === 255)
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'media', index: i } })
      else expect(result).toMatchObject({ value: { embedding: vectorOf(id % 2 ? id : 3 + (id % 29)) } })
    }
  }

  async #segments(signal: AbortSignal) {
    const [first, count, leaveAfter] = [this.#below(200), this.#below(20), this.#below(25)]
    let seen = 0
    for await (const { start, embedding } of this.#embedder.segments(Uint8Array.of(first, count), {
      windowSeconds: 2,
      signal,
    })) {
      expect([start, embedding]).toEqual([2 * seen, vectorOf(first + seen)])
      if (this.#below(4) === 0) await turn()
      if (++seen > leaveAfter) return
    }
    expect(seen).toBe(count)
  }

  async #text(signal: AbortSignal) {
    const length = 1 + this.#below(29)
    const { embedding } = await this.#embedder.embedText('x'.repeat(length), { signal })
    expect(embedding).toEqual(vectorOf(2 + length))
  }

  /** One in thirty cannot be decoded. */
  #id(): number {
    return this.#below(30) === 0 ? 255 : this.#below(250)
  }
}

/** Opens, closes and steps the double's gates while calls start and end. */
async function live(caller: Caller, double: BindingDouble, below: (n: number) => number, mostClips: number) {
  const gates = [double.decoding, double.encoding, double.opening]
  for (let step = 0; step < 200; step++) {
    const what = below(12)
    const gate = gates[below(3)] ?? double.decoding
    if (what < 3) caller.start()
    else if (what < 4) caller.abortOne()
    else if (what < 6) gate.held = true
    else if (what < 8) gate.open()
    else if (what < 9) gate.jobs[0]?.finish()
    else await turn()
    expect(double.clipsAlive).toBeLessThanOrEqual(mostClips)
  }
  return () => {
    for (const gate of gates) gate.open()
  }
}

async function allEnded({ calls }: Caller) {
  for (let wait = 0; calls.some(({ settled }) => settled === 0); wait++) {
    expect(wait, 'every call ends').toBeLessThan(5000)
    await turn()
  }
  await turn()
  await turn()
}

/** Checks that each call settled once, with its own abort reason or an error that this scenario can cause. */
function endedWell({ settled, failure, abort }: Call, isLost: boolean) {
  expect(settled).toBe(1)
  if (failure === undefined || (abort.signal.aborted && failure === abort.signal.reason)) return
  const known = ['overloaded', 'media', 'closed', ...(isLost ? ['device_lost'] : [])]
  expect(known, String(failure)).toContain((failure as { code?: string }).code)
}

/** Makes the next job fail as on a lost GPU. */
async function loseGpu(double: BindingDouble, caller: Caller): Promise<void> {
  const gates = [double.encoding, double.decoding]
  for (const gate of gates) gate.held = true
  for (let step = 0; gates.every(({ jobs }) => jobs.length === 0); step++) {
    if (step === 50) return
    caller.start()
    await turn()
  }
  const job = gates.flatMap(({ jobs }) => jobs)[0]
  job?.fail({ code: 'device_lost', message: 'CUDA error 700' })
}

describe('any mixture of calls, aborts, slow engines, lost GPUs and dispose', () => {
  const lives = Array.from({ length: 40 }, (_, seed) => ({ seed, gpus: seed % 4, isLost: seed % 8 > 4 }))
  it.each(lives)('seed $seed, $gpus GPUs, lost: $isLost', async ({ seed, gpus, isLost }) => {
    const below = random(seed)
    const { double, open } = machineWith(Array.from({ length: gpus }, (_, device) => h200(device)))
    const [concurrency, maxBatch] = [1 + below(4), 1 + below(6)]
    const embedder = await open({
      device: gpus === 0 ? 'cpu' : 'cuda',
      cuda: { libraries: { tensorrt }, engineCache, devices: 'all' },
      decode: { concurrency },
      batching: { maxVideoBatch: maxBatch, maxTextBatch: 1 + below(20) },
      limits: { maxItemsInFlight: 64 + below(64) },
    })
    const caller = new Caller(embedder, below)
    // Clips being decoded, those of each running batch and of one that gathers, and for queries again as many as are
    // decoded plus one more batch.
    const mostClips =
      gpus === 0 ? 2 * concurrency + 3 * maxBatch : gpus * (2 * Math.ceil(concurrency / gpus) + 4 * maxBatch)
    const letGo = await live(caller, double, below, mostClips)
    if (isLost) await loseGpu(double, caller)
    const disposed = seed % 2 === 0 ? embedder.dispose({ drain: seed % 4 === 0 }) : undefined
    letGo()
    await allEnded(caller)
    await disposed

    for (const call of caller.calls) endedWell(call, isLost)
    expect([double.clipsAlive, double.readersOpen, double.runningJobs]).toEqual([0, 0, 0])
    const idle = { waiting: 0, running: 0 }
    expect(embedder.stats()).toMatchObject({
      inFlight: { items: 0, bytes: 0, requests: 0 },
      queues: { download: idle, decode: idle, encode: idle },
      requests: { total: caller.calls.length },
    })
    await embedder.dispose()
    expect([double.enginesOpen, double.gpusOpen, double.misuse]).toEqual([0, 0, []])
  })
})
