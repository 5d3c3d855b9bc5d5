import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Batcher, type BatchResult } from '../../src/schedule/batcher.ts'
import { MAX_OVERTAKES, type Priority } from '../../src/schedule/priority-queue.ts'

interface Row {
  kind: 'text' | 'video'
  length: number
  id: number
}

interface Run {
  batch: readonly Row[]
  signal: AbortSignal
  answer(results?: readonly number[]): Promise<void>
  fail(error: unknown): Promise<void>
}

const never = new AbortController().signal
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Two turns of the event loop: the batcher receives a result in the first and starts the next batch in the second. */
const turns = () => turn().then(turn)

/** A device that completes batches on request, with the id of each row as its result. */
function device(
  options: {
    max?: number
    maxText?: number
    budget?: number
    delay?: number
    lanes?: number
    alone?: Row['kind'][]
  } = {},
) {
  const runs: Run[] = []
  const batcher = new Batcher<Row, number>({
    maxBatch: { video: options.max ?? 4, text: options.maxText ?? 4 },
    padding: { text: { budget: options.budget ?? 1000, batchCost: 16 } },
    maxDelayMs: options.delay ?? 0,
    ...(options.lanes !== undefined && { lanes: options.lanes }),
    ...(options.alone && { alone: options.alone }),
    run: (batch, signal) =>
      new Promise((resolve, reject) => {
        runs.push({
          batch,
          signal,
          answer: (results = batch.map((row) => row.id)) => {
            resolve(results)
            return turns()
          },
          fail: (error) => {
            reject(error)
            return turns()
          },
        })
      }),
  })
  let id = 0
  const submit = (
    kind: Row['kind'],
    {
      length = 1,
      priority = 'bulk' as Priority,
      signal = never,
    }: Partial<Row> & { priority?: Priority; signal?: AbortSignal } = {},
  ): Promise<BatchResult<number>> => {
    const promise = batcher.submit({ kind, length, id: id++ }, priority, signal)
    promise.catch(() => {})
    return promise
  }
  return { batcher, runs, submit, ids: () => runs.map((run) => run.batch.map((row) => row.id)) }
}

describe('Batcher', () => {
  it('puts everything submitted in one turn of the event loop into one batch, and resolves each item to its own result', async () => {
    const { submit, runs, ids } = device()
    const answers = Promise.all([submit('video'), submit('video'), submit('video')])
    await turn()
    expect(ids()).toEqual([[0, 1, 2]])
    await runs[0]?.answer([7, 8, 9])
    expect((await answers).map((answer) => answer.result)).toEqual([7, 8, 9])
  })

  it('never exceeds the largest batch and has one batch in flight', async () => {
    const { batcher, submit, runs, ids } = device({ max: 4 })
    const answers = Array.from({ length: 10 }, () => submit('video'))
    await turn()
    await turn()
    expect(ids()).toEqual([[0, 1, 2, 3]])
    expect([batcher.running, batcher.waiting]).toEqual([4, 6])
    await runs[0]?.answer()
    await runs[1]?.answer()
    await runs[2]?.answer()
    expect(ids()).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ])
    await Promise.all(answers)
    expect([batcher.running, batcher.waiting]).toEqual([0, 0])
  })

  it('keeps kinds and priorities apart, query first, then the oldest', async () => {
    const { submit, runs } = device()
    submit('video')
    await turn()
    submit('text')
    submit('video')
    submit('text', { priority: 'query' })
    submit('video', { priority: 'query' })
    submit('text', { priority: 'query' })
    for (let i = 0; i < 5; i++) await runs[i]?.answer()
    expect(runs.map((run) => run.batch.map((row) => row.id))).toEqual([[0], [3, 5], [4], [1], [2]])
  })

  it('lets bulk through after MAX_OVERTAKES batches of queries', async () => {
    const { submit, runs } = device()
    submit('video', { priority: 'query' })
    await turn()
    const bulk = submit('video')
    for (let i = 0; i <= MAX_OVERTAKES; i++) {
      submit('video', { priority: 'query' })
      await runs[i]?.answer()
    }
    expect(runs[MAX_OVERTAKES + 1]?.batch.map((row) => row.id)).toEqual([1])
    await runs[MAX_OVERTAKES + 1]?.answer()
    expect((await bulk).result).toBe(1)
  })

  it('batches texts of similar length around the oldest', async () => {
    const { submit, runs } = device({ maxText: 3 })
    submit('video')
    await turn()
    for (const length of [50, 3, 90, 4, 48, 5, 49, 95, 91]) submit('text', { length })
    for (let i = 0; i < 4; i++) await runs[i]?.answer()
    const lengths = runs.slice(1).map((run) => run.batch.map((row) => row.length))
    expect(lengths).toEqual([
      [48, 49, 50],
      [3, 4, 5],
      [90, 91, 95],
    ])
  })

  it('serves the oldest first, however unusual its length, and pads no others to it', async () => {
    const { submit, runs } = device()
    submit('video')
    await turn()
    for (const length of [128, 3, 3, 3]) submit('text', { length })
    for (let i = 0; i < 2; i++) await runs[i]?.answer()
    expect(runs.slice(1).map((run) => run.batch.map((row) => row.length))).toEqual([[128], [3, 3, 3]])
  })

  it('puts unlike lengths together where a batch of their own would cost more than the padding', async () => {
    const { submit, runs } = device()
    for (const length of [3, 4, 10]) submit('text', { length })
    await turn()
    expect(runs[0]?.batch.map((row) => row.length)).toEqual([3, 4, 10])
  })

  it('computes no more than the budget in a batch, except for one item beyond it', async () => {
    const { submit, runs } = device({ maxText: 8, budget: 40 })
    submit('video')
    await turn()
    for (const length of [10, 9, 12, 50, 10, 11, 10]) submit('text', { length })
    for (let i = 0; i < 5; i++) await runs[i]?.answer()
    expect(runs.slice(1).map((run) => run.batch.map((row) => row.length))).toEqual([
      [9, 10, 10, 10],
      [11, 12],
      [50],
    ])
  })

  it('removes a cancelled item from the queue immediately', async () => {
    const { batcher, submit, runs, ids } = device()
    submit('video')
    await turn()
    const controller = new AbortController()
    const doomed = submit('video', { signal: controller.signal })
    submit('video')
    const reason = new Error('gone')
    controller.abort(reason)
    expect(batcher.waiting).toBe(1)
    await expect(doomed).rejects.toBe(reason)
    await expect(submit('video', { signal: controller.signal })).rejects.toBe(reason)
    await runs[0]?.answer()
    expect(ids()).toEqual([[0], [2]])
  })

  it('drops only the result of an item cancelled in a running batch', async () => {
    const { submit, runs } = device()
    const controller = new AbortController()
    const doomed = submit('video', { signal: controller.signal })
    const other = submit('video')
    await turn()
    controller.abort('gone')
    await expect(doomed).rejects.toBe('gone')
    expect(runs[0]?.signal.aborted).toBe(false)
    await runs[0]?.answer()
    expect((await other).result).toBe(1)
  })

  it('cancels the batch with its last item, then runs the next one', async () => {
    const { submit, runs } = device({ max: 2 })
    const controllers = [new AbortController(), new AbortController()]
    const doomed = controllers.map(({ signal }) => submit('video', { signal }))
    const next = submit('video')
    await turn()
    controllers[0]?.abort('first')
    expect(runs[0]?.signal.aborted).toBe(false)
    controllers[1]?.abort('second')
    expect(runs[0]?.signal.aborted).toBe(true)
    await expect(doomed[0]).rejects.toBe('first')
    await expect(doomed[1]).rejects.toBe('second')
    await turn()
    expect(runs.length, 'the device is not free before the cancelled batch has ended').toBe(1)
    await runs[0]?.fail(new Error('cancelled'))
    await runs[1]?.answer()
    expect((await next).result).toBe(2)
  })

  it('rejects every item of a failed batch with its error, then runs the next one', async () => {
    const { submit, runs } = device({ max: 2 })
    const answers = [submit('video'), submit('video'), submit('video')]
    await turn()
    const error = new Error('device on fire')
    await runs[0]?.fail(error)
    await runs[1]?.answer()
    await expect(answers[0]).rejects.toBe(error)
    await expect(answers[1]).rejects.toBe(error)
    expect((await answers[2])?.result).toBe(2)
  })

  it('rejects a wrong number of results as a bug', async () => {
    const { submit, runs } = device()
    const answers = [submit('video'), submit('video')]
    await turn()
    await runs[0]?.answer([1])
    for (const answer of answers) await expect(answer).rejects.toThrow('This is a bug.')
  })
})

describe('Batcher with lanes', () => {
  it('runs as many batches as there are lanes, and the next when one of them ends', async () => {
    const { batcher, submit, runs, ids } = device({ max: 2, lanes: 2 })
    const answers = Array.from({ length: 7 }, () => submit('video'))
    await turns()
    expect(ids()).toEqual([
      [0, 1],
      [2, 3],
    ])
    expect([batcher.running, batcher.waiting]).toEqual([4, 3])
    await runs[1]?.answer()
    expect(ids().slice(2)).toEqual([[4, 5]])
    await runs[0]?.answer()
    expect(ids().slice(3)).toEqual([[6]])
    await runs[2]?.answer()
    await runs[3]?.answer()
    expect((await Promise.all(answers)).map(({ result }) => result)).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect([batcher.running, batcher.waiting]).toEqual([0, 0])
  })

  it('gives later items a free lane immediately, queries before bulk', async () => {
    const { submit, runs, ids } = device({ max: 4, lanes: 2 })
    submit('video')
    await turn()
    submit('video')
    submit('video', { priority: 'query' })
    await turn()
    expect(ids()).toEqual([[0], [2]])
    await runs[0]?.answer()
    expect(ids()).toEqual([[0], [2], [1]])
  })

  it('keeps a lane occupied until its cancelled batch has ended', async () => {
    const { submit, runs } = device({ max: 1, lanes: 2 })
    const controller = new AbortController()
    const doomed = submit('video', { signal: controller.signal })
    submit('video')
    const next = submit('video')
    await turns()
    controller.abort('gone')
    await expect(doomed).rejects.toBe('gone')
    await turns()
    expect(runs.length).toBe(2)
    await runs[0]?.fail(new Error('cancelled'))
    await runs[2]?.answer()
    expect((await next).result).toBe(2)
  })

  it('gives all lanes to a kind that runs alone, and lets nothing begin before it', async () => {
    const { submit, runs, ids } = device({ maxText: 1, lanes: 2, alone: ['video'] })
    for (const kind of ['text', 'video', 'text', 'text', 'text'] as const) submit(kind)
    await turns()
    expect(ids()).toEqual([[0]])
    await runs[0]?.answer()
    expect(ids()).toEqual([[0], [1]])
    await runs[1]?.answer()
    await turns()
    expect(ids()).toEqual([[0], [1], [2], [3]])
    await runs[3]?.answer()
    expect(ids().at(-1)).toEqual([4])
  })

  it('does not starve a kind that runs alone while queries keep the lanes busy', async () => {
    const { submit, runs, ids } = device({ maxText: 1, lanes: 2, alone: ['video'] })
    for (let i = 0; i < 4 * MAX_OVERTAKES; i++) submit('text', { priority: 'query' })
    submit('video')
    const video = 4 * MAX_OVERTAKES
    for (let run = 0; run < 2 * MAX_OVERTAKES && !ids().flat().includes(video); run++) {
      await turns()
      await runs[run]?.answer()
    }
    expect(ids().flat().indexOf(video)).toBe(MAX_OVERTAKES)
    expect(runs.length).toBe(MAX_OVERTAKES + 1)
  })

  it('fails the items of the failed batch only', async () => {
    const { submit, runs } = device({ max: 1, lanes: 2 })
    const [first, second] = [submit('video'), submit('video')]
    await turns()
    await runs[0]?.fail(new Error('device on fire'))
    await runs[1]?.answer()
    await expect(first).rejects.toThrow('device on fire')
    expect((await second).result).toBe(1)
  })
})

describe('Batcher with maxDelayMs', () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance'],
    })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('waits for more items, counted from the arrival of the oldest', async () => {
    const { submit, runs } = device({ delay: 10, max: 3 })
    submit('video')
    await vi.advanceTimersByTimeAsync(6)
    submit('video')
    await vi.advanceTimersByTimeAsync(3)
    expect(runs.length).toBe(0)
    await vi.advanceTimersByTimeAsync(1)
    expect(runs.map((run) => run.batch.length)).toEqual([2])
  })

  it('does not wait when the batch is full', async () => {
    const { submit, runs } = device({ delay: 10, max: 2 })
    submit('video')
    await vi.advanceTimersByTimeAsync(1)
    submit('video')
    await vi.advanceTimersByTimeAsync(1)
    expect(runs.map((run) => run.batch.length)).toEqual([2])
  })

  it('does not wait when the items use up the budget', async () => {
    const { submit, runs } = device({ delay: 10, budget: 20 })
    submit('text', { length: 9 })
    submit('text', { length: 11 })
    await vi.advanceTimersByTimeAsync(1)
    expect(runs.map((run) => run.batch.map((row) => row.length))).toEqual([[9]])
  })

  it('waits for more items in front of each free lane', async () => {
    const { submit, runs } = device({ delay: 10, max: 2, lanes: 2 })
    for (let i = 0; i < 3; i++) submit('video')
    await vi.advanceTimersByTimeAsync(3)
    expect(runs.map((run) => run.batch.length)).toEqual([2])
    await vi.advanceTimersByTimeAsync(8)
    expect(runs.map((run) => run.batch.length)).toEqual([2, 1])
  })

  it('does not run an item that was cancelled during the wait', async () => {
    const { submit, runs } = device({ delay: 10 })
    const controller = new AbortController()
    submit('video', { signal: controller.signal })
    await vi.advanceTimersByTimeAsync(5)
    controller.abort()
    await vi.advanceTimersByTimeAsync(50)
    expect(runs.length).toBe(0)
  })

  it('begins no batch for which no lane is free when the wait of another ends', async () => {
    const { submit, runs } = device({ delay: 10, maxText: 1 })
    submit('video')
    for (let i = 0; i <= MAX_OVERTAKES; i++) submit('text', { priority: 'query' })
    await vi.advanceTimersByTimeAsync(1)
    for (let i = 0; i < MAX_OVERTAKES; i++) {
      runs[i]?.answer()
      await vi.advanceTimersByTimeAsync(0)
      await vi.advanceTimersByTimeAsync(0)
    }
    const { length } = runs
    await vi.advanceTimersByTimeAsync(30)
    expect(runs).toHaveLength(length)
  })
})
