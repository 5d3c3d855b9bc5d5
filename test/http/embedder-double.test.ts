/** The double of the embedder admits, cancels and closes calls as the real one does: the same cases for both. */
import { readFileSync } from 'node:fs'
import {
  ClosedError,
  createEmbedder,
  DeviceLostError,
  type Embedder,
  type EmbedRequest,
  InvalidArgumentError,
  InvalidRequestError,
  OverloadedError,
  RequestTooLargeError,
} from 'cosmos-embed'
import { describe, expect, it, onTestFinished } from 'vitest'
import { doubleEmbedder } from './embedder-double.ts'

const model = new URL('../../models/demo', import.meta.url).pathname
const video = readFileSync(new URL('../../examples/clips/red-circle.mp4', import.meta.url))

interface Limits {
  maxItems?: number
  maxItemsInFlight?: number
  maxBytesInFlight?: number
}

const embedders: [string, (limits?: Limits) => Promise<Embedder>][] = [
  ['the real embedder', (limits = {}) => createEmbedder({ model, device: 'cpu', limits })],
  // Works for some turns of the event loop, as the real one does.
  [
    'the double',
    async (limits = {}) => {
      const before = () => new Promise<void>((resolve) => setTimeout(resolve, 5))
      return doubleEmbedder({ servedNames: ['cosmos-embed-demo'], limits, before })
    },
  ],
]

const request = (count = 1, request_type: EmbedRequest['request_type'] = 'query'): EmbedRequest => ({
  request_type,
  input: Array.from({ length: count }, (_, at) => `text ${at}`),
  model: 'cosmos-embed-demo',
})
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('the call should fail'),
    (failure: unknown) => failure,
  )
const nothingInFlight = { items: 0, bytes: 0, requests: 0 }

describe.each(embedders)('%s', (_, create) => {
  async function open(limits?: Limits): Promise<Embedder> {
    const embedder = await create(limits)
    onTestFinished(() => embedder.dispose())
    return embedder
  }

  it('refuses a call that does not fit now, and takes it later', async () => {
    const embedder = await open({ maxItems: 2, maxItemsInFlight: 2 })
    const running = embedder.embed(request(2))
    const refused = await failureOf(embedder.embed(request(), { whenFull: 'refuse' }))
    expect(refused).toBeInstanceOf(OverloadedError)
    expect(refused).toMatchObject({ retryAfter: 1, details: { items: 2, bytes: 0, maxItemsInFlight: 2 } })
    await running
    await embedder.embed(request(), { whenFull: 'refuse' })
    expect(embedder.stats()).toMatchObject({
      requests: { total: 3, succeeded: 2, rejected: 1 },
      inFlight: nothingInFlight,
    })
  })

  it('lets a call wait for room unless it is told otherwise', async () => {
    const embedder = await open({ maxItems: 1, maxItemsInFlight: 1 })
    const answers = await Promise.all([1, 2, 3].map(() => embedder.embed(request())))
    expect(answers).toHaveLength(3)
    expect(embedder.stats().inFlight).toEqual(nothingInFlight)
  })

  it('keeps an eighth of the room for queries', async () => {
    const embedder = await open({ maxItems: 7, maxItemsInFlight: 8 })
    const running = embedder.embed(request(1, 'bulk_text'))
    const bulk = await failureOf(embedder.embed(request(7, 'bulk_text'), { whenFull: 'refuse' }))
    expect(bulk).toBeInstanceOf(OverloadedError)
    await embedder.embed(request(7), { whenFull: 'refuse' })
    await running
  })

  it('refuses for good what could never fit', async () => {
    const embedder = await open({ maxBytesInFlight: 1000 })
    const failure = await failureOf(embedder.embedVideo(video))
    expect(failure).toBeInstanceOf(RequestTooLargeError)
    expect(failure).toMatchObject({ details: { found: video.byteLength, limit: 1000 } })
  })

  it('rejects invalid requests and options', async () => {
    const embedder = await open({ maxItems: 2 })
    for (const invalid of [request(3), request(0), { ...request(), model: 'another' }]) {
      expect(await failureOf(embedder.embed(invalid))).toBeInstanceOf(InvalidRequestError)
    }
    const misspelt = embedder.embed(request(), { whenfull: 'refuse' } as never)
    expect(await failureOf(misspelt)).toBeInstanceOf(InvalidArgumentError)
  })

  it('rejects with the reason of the signal, before the call, while it runs, and while it waits', async () => {
    const embedder = await open({ maxItems: 1, maxItemsInFlight: 1 })
    const before = AbortSignal.abort('before')
    expect(await failureOf(embedder.embed(request(), { signal: before }))).toBe('before')
    const [running, waiting] = [new AbortController(), new AbortController()]
    const calls = [running, waiting].map(({ signal }) => failureOf(embedder.embed(request(), { signal })))
    waiting.abort('waiting')
    running.abort('running')
    expect(await Promise.all(calls)).toEqual(['running', 'waiting'])
    await embedder.embed(request(), { whenFull: 'refuse' })
    expect(embedder.stats()).toMatchObject({ requests: { cancelled: 3 }, inFlight: nothingInFlight })
  })

  it('cancels running calls when it is disposed, and refuses later ones', async () => {
    const embedder = await open()
    const running = failureOf(embedder.embed(request()))
    const disposed = embedder.dispose()
    const later = failureOf(embedder.embed(request()))
    for (const failure of await Promise.all([running, later])) {
      expect(failure).toBeInstanceOf(ClosedError)
      expect((failure as Error).message).toBe('the embedder is closed: dispose() was called')
    }
    await disposed
    await embedder.dispose()
    expect(embedder.status()).toEqual({ ready: false, code: 'closed', reason: 'the embedder is closed' })
    expect(embedder.stats().inFlight).toEqual(nothingInFlight)
  })

  it('finishes running calls when it is disposed with drain', async () => {
    const embedder = await open()
    const running = embedder.embed(request())
    await embedder.dispose({ drain: true })
    expect((await running).data).toHaveLength(1)
  })

  it('ends a loop over segments that is aborted, left, or outlived by the embedder', async () => {
    const embedder = await open({ maxItems: 1, maxItemsInFlight: 1 })
    const controller = new AbortController()
    const aborted = embedder.segments(video, { windowSeconds: 0.5, signal: controller.signal })
    await aborted.next()
    expect(await failureOf(embedder.embed(request(), { whenFull: 'refuse' }))).toBeInstanceOf(OverloadedError)
    controller.abort('enough')
    expect(await failureOf(aborted.next())).toBe('enough')
    for await (const segment of embedder.segments(video, { windowSeconds: 0.5 })) {
      expect(segment.start).toBe(0)
      break
    }
    await expect.poll(() => embedder.stats().inFlight).toEqual(nothingInFlight)
    const outlived = embedder.segments(video, { windowSeconds: 0.5 })
    await outlived.next()
    await embedder.dispose()
    expect(await failureOf(outlived.next())).toBeInstanceOf(ClosedError)
    const late = embedder.segments(video, { windowSeconds: 0.5 })
    expect(await failureOf(late.next())).toBeInstanceOf(ClosedError)
  })
})

// The real embedder on a GPU that is lost: test/embedder and gpu.test.ts.
it('the double fails running and later calls when its device is lost', async () => {
  const embedder = doubleEmbedder({ before: () => new Promise(() => {}) })
  const running = failureOf(embedder.embed({ ...request(), model: 'double' }))
  embedder.lose('CUDA error 700')
  for (const failure of [await running, await failureOf(embedder.embedText('a'))]) {
    expect(failure).toBeInstanceOf(DeviceLostError)
  }
  expect(embedder.status()).toEqual({ ready: false, code: 'device_lost', reason: 'CUDA error 700' })
  expect(embedder.stats().inFlight).toEqual(nothingInFlight)
})
