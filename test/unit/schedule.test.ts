import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { onAbort } from '../../src/base/abort.ts'
import { Admission } from '../../src/schedule/admission.ts'
import { MAX_OVERTAKES, type Priority, PriorityQueue } from '../../src/schedule/priority-queue.ts'
import { PrioritySemaphore } from '../../src/schedule/priority-semaphore.ts'

const never = new AbortController().signal

/** Whether and how a promise has settled by now, without waiting for it. */
async function state(promise: Promise<unknown>): Promise<'pending' | 'resolved' | 'rejected'> {
  return Promise.race([
    promise.then(
      () => 'resolved' as const,
      () => 'rejected' as const,
    ),
    new Promise<'pending'>((resolve) => setImmediate(() => resolve('pending'))),
  ])
}

function warnings(): string[] {
  const seen: string[] = []
  const listener = (warning: Error) => seen.push(warning.name)
  process.on('warning', listener)
  onTestFinished(() => void process.off('warning', listener))
  return seen
}

describe('onAbort', () => {
  it('calls every callback once and leaves no listener behind', async () => {
    const seen = warnings()
    const controller = new AbortController()
    const remove = vi.spyOn(controller.signal, 'removeEventListener')
    const add = vi.spyOn(controller.signal, 'addEventListener')
    const calls = new Int32Array(1000)
    const forget = Array.from(calls, (_, i) => onAbort(controller.signal, () => Atomics.add(calls, i, 1)))
    forget[3]?.()
    controller.abort()
    for (const each of forget) each()
    await new Promise((resolve) => setImmediate(resolve))
    expect(Array.from(calls)).toEqual(Array.from(calls, (_, i) => (i === 3 ? 0 : 1)))
    expect(add.mock.calls.length).toBe(1)
    expect(remove.mock.calls.length).toBe(1)
    expect(seen).toEqual([])
  })

  it('removes its listener with the last callback, and can subscribe again', () => {
    const controller = new AbortController()
    const remove = vi.spyOn(controller.signal, 'removeEventListener')
    onAbort(controller.signal, () => expect.unreachable())()
    expect(remove).toHaveBeenCalledOnce()
    const second = vi.fn()
    onAbort(controller.signal, second)
    controller.abort()
    expect(second).toHaveBeenCalledOnce()
  })

  it('calls immediately when the signal has already aborted', () => {
    const callback = vi.fn()
    onAbort(AbortSignal.abort(), callback)()
    expect(callback).toHaveBeenCalledOnce()
  })
})

describe('PriorityQueue', () => {
  const entry = (priority: Priority, id: number) => ({ priority, id })
  const one = <T>(waiting: ReadonlySet<T>) => [...waiting].slice(0, 1)

  it('serves query before bulk, each in order of arrival', () => {
    const queue = new PriorityQueue<{ priority: Priority; id: number }>()
    queue.add(entry('bulk', 1))
    queue.add(entry('query', 2))
    queue.add(entry('bulk', 3))
    queue.add(entry('query', 4))
    const order = Array.from({ length: 4 }, () => queue.take(one)[0]?.id)
    expect(order).toEqual([2, 4, 1, 3])
    expect(queue.take(one)).toEqual([])
  })

  it('gives bulk one turn after every MAX_OVERTAKES queries', () => {
    const queue = new PriorityQueue<{ priority: Priority; id: number }>()
    for (let id = 0; id < 3; id++) queue.add(entry('bulk', id))
    const served: string[] = []
    for (let id = 0; id < 3 * (MAX_OVERTAKES + 1); id++) {
      queue.add(entry('query', id))
      served.push(queue.take(one)[0]?.priority ?? 'none')
    }
    const turn = [...Array<string>(MAX_OVERTAKES).fill('query'), 'bulk']
    expect(served).toEqual([...turn, ...turn, ...turn])
  })

  it('uses no turn when nothing is chosen', () => {
    const queue = new PriorityQueue<{ priority: Priority; id: number }>()
    queue.add(entry('bulk', 0))
    queue.add(entry('query', 1))
    for (let i = 0; i < 2 * MAX_OVERTAKES; i++) expect(queue.take(() => [])).toEqual([])
    expect(queue.take(one)[0]?.id).toBe(1)
  })
})

describe('PrioritySemaphore', () => {
  it('admits `capacity` holders immediately, then the waiting ones, queries first', async () => {
    const slots = new PrioritySemaphore(2)
    const held = await Promise.all([slots.acquire('bulk', never), slots.acquire('bulk', never)])
    const order: string[] = []
    const enter = async (name: string, priority: Priority) => {
      const release = await slots.acquire(priority, never)
      order.push(name)
      release()
    }
    const all = [enter('bulk 1', 'bulk'), enter('bulk 2', 'bulk'), enter('query', 'query')]
    expect([slots.running, slots.waiting]).toEqual([2, 3])
    held[0]()
    await Promise.all(all)
    expect(order).toEqual(['query', 'bulk 1', 'bulk 2'])
    expect([slots.running, slots.waiting]).toEqual([1, 0])
  })

  it('releases once, however often release() is called', async () => {
    const slots = new PrioritySemaphore(1)
    const release = await slots.acquire('bulk', never)
    release()
    release()
    expect(slots.running).toBe(0)
    const next = await slots.acquire('bulk', never)
    release()
    expect(slots.running).toBe(1)
    next()
  })

  it('rejects an aborted waiter immediately with the reason, and gives it no slot', async () => {
    const slots = new PrioritySemaphore(1)
    const release = await slots.acquire('bulk', never)
    const controller = new AbortController()
    const waiting = slots.acquire('bulk', controller.signal)
    const behind = slots.acquire('bulk', never)
    const reason = new Error('changed my mind')
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(slots.acquire('query', controller.signal)).rejects.toBe(reason)
    expect(slots.waiting).toBe(1)
    release()
    const last = await behind
    last()
    expect([slots.running, slots.waiting]).toEqual([0, 0])
  })
})

describe('Admission', () => {
  it('admits a request whole or not at all', () => {
    const admission = new Admission({ items: 64, bytes: 1000 })
    const first = admission.tryAcquire({ items: 60, bytes: 900 }, 'query')
    expect(first).toBeDefined()
    expect(admission.tryAcquire({ items: 5, bytes: 0 }, 'query')).toBeUndefined()
    expect(admission.tryAcquire({ items: 1, bytes: 101 }, 'query')).toBeUndefined()
    expect([admission.items, admission.bytes]).toEqual([60, 900])
    const second = admission.tryAcquire({ items: 4, bytes: 100 }, 'query')
    expect(second).toBeDefined()
    first?.release()
    first?.release()
    expect([admission.items, admission.bytes]).toEqual([4, 100])
    second?.release()
    expect([admission.items, admission.bytes]).toEqual([0, 0])
  })

  it('counts bytes that are reserved later from when there is room for them until the release', async () => {
    const admission = new Admission({ items: 10, bytes: 100 })
    const lease = admission.tryAcquire({ items: 1, bytes: 10 }, 'query')
    const other = admission.tryAcquire({ items: 1, bytes: 50 }, 'query')
    const memory = lease?.openMemory()
    await memory?.grow(30, never)
    expect(admission.bytes).toBe(90)
    const more = memory?.grow(40, never)
    expect(admission.bytes).toBe(130)
    await more
    const waiting = other?.openMemory().grow(1, never)
    expect(admission.tryAcquire({ items: 1, bytes: 1 }, 'query')).toBeUndefined()
    expect(admission.tryAcquire({ items: 1, bytes: 0 }, 'query')).toBeDefined()
    lease?.release()
    lease?.release()
    memory?.release()
    await waiting
    expect(admission.bytes).toBe(51)
    other?.release()
    expect(admission.bytes).toBe(0)
  })

  it('serves waiting requests in order, without overtaking', async () => {
    const admission = new Admission({ items: 4, bytes: 100 })
    const held = admission.tryAcquire({ items: 4, bytes: 0 }, 'query')
    const large = admission.acquire({ items: 4, bytes: 0 }, 'query', never)
    const small = admission.acquire({ items: 1, bytes: 0 }, 'query', never)
    expect(admission.waiting).toBe(2)
    held?.release()
    expect(await state(large)).toBe('resolved')
    expect(await state(small)).toBe('pending')
    const lease = await large
    lease.release()
    expect(await state(small)).toBe('resolved')
  })

  it('refuses new requests while others wait, even if they would fit', async () => {
    const admission = new Admission({ items: 4, bytes: 100 })
    const held = admission.tryAcquire({ items: 2, bytes: 0 }, 'query')
    const controller = new AbortController()
    const large = admission.acquire({ items: 3, bytes: 0 }, 'query', controller.signal)
    const small = admission.acquire({ items: 1, bytes: 0 }, 'query', never)
    expect(admission.tryAcquire({ items: 1, bytes: 0 }, 'query')).toBeUndefined()
    controller.abort('enough')
    await expect(large).rejects.toBe('enough')
    expect(await state(small), 'the one behind the aborted one goes on').toBe('resolved')
    held?.release()
    expect(admission.items).toBe(1)
  })

  it('keeps an eighth for queries, also when bulk downloads hold and await bytes', async () => {
    const admission = new Admission({ items: 100, bytes: 800 })
    const open = async (priority: Priority) =>
      (await admission.acquire({ items: 1, bytes: 0 }, priority, never)).openMemory()
    const first = await open('bulk')
    await first.grow(500, never)
    const second = (await open('bulk')).grow(150, never)
    const third = (await open('bulk')).grow(200, never)
    expect([await state(second), await state(third), admission.bytes]).toEqual(['resolved', 'pending', 650])
    expect(admission.tryAcquire({ items: 1, bytes: 10 }, 'bulk'), 'bulk waits its turn').toBeUndefined()
    const query = admission.tryAcquire({ items: 1, bytes: 50 }, 'query')
    expect(query).toBeDefined()
    await query?.openMemory().grow(100, never)
    const late = (await open('query')).grow(40, never)
    expect([await state(late), admission.bytes]).toEqual(['pending', 800])
    expect(
      admission.tryAcquire({ items: 1, bytes: 1 }, 'query'),
      'a query that was admitted waits',
    ).toBeUndefined()
    first.release()
    expect([await state(late), await state(third)]).toEqual(['resolved', 'resolved'])
  })

  it('lets a bulk download have everything when nothing else holds bytes', async () => {
    const admission = new Admission({ items: 100, bytes: 800 })
    const lease = await admission.acquire({ items: 1, bytes: 0 }, 'bulk', never)
    await lease.openMemory().grow(800, never)
    expect(admission.bytes).toBe(800)
  })

  it('couldFit is false for costs above the limits', () => {
    const admission = new Admission({ items: 4, bytes: 100 })
    expect(admission.couldFit({ items: 4, bytes: 100 })).toBe(true)
    expect(admission.couldFit({ items: 5, bytes: 0 })).toBe(false)
    expect(admission.couldFit({ items: 1, bytes: 101 })).toBe(false)
  })
})
