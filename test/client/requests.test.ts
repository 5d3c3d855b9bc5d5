/** Which requests a client sends, and how often. */
import { createClient } from 'cosmos-embed/client'
import { describe, expect, it } from 'vitest'
import { gate } from '../http/support.ts'
import {
  clientOf,
  foreignServer,
  inputsOf,
  openError,
  ourError,
  type Reply,
  type Seen,
  vectors,
} from './support.ts'

const texts = (count: number) => Array.from({ length: count }, (_, i) => ({ text: `text ${i}`, key: i }))
const quick = { headers: { 'retry-after-ms': '1' } }

describe('batches', () => {
  it('hold 64 items, maxParallel of them in flight, in the order of the list', async () => {
    const server = await foreignServer(async (request) => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      return vectors(request)
    })
    const settled = await clientOf(server.url, { maxParallel: 2 }).embedMany(texts(330))
    expect(server.seen.map((one) => inputsOf(one).length)).toEqual([64, 64, 64, 64, 64, 10])
    expect(server.atOnce).toBe(2)
    expect(settled.map(({ key }) => key)).toEqual(texts(330).map(({ key }) => key))
    expect(settled.every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(new Set(server.seen.map(({ body }) => body.request_type))).toEqual(new Set(['bulk_text']))
    expect(new Set(server.seen.map(({ body }) => body.encoding_format))).toEqual(new Set(['base64']))
  })

  it('contain URLs; media in memory are sent alone, in a query', async () => {
    const server = await foreignServer(vectors)
    const frames = Array.from({ length: 8 }, (_, i) => new URL(`https://host/${i},a.jpg`))
    await clientOf(server.url).embedMany([
      { video: new URL('https://host/a.mp4?sig=1,2') },
      { text: 'a' },
      { video: Buffer.from('bytes') },
      { frames },
      { text: 'b' },
    ])
    const sent = server.seen
      .map(({ body }) => `${body.request_type} ${[body.input].flat().join(' | ')}`)
      .sort()
    const urls = frames.map(({ href }) => href).join(',')
    expect(sent).toEqual([
      'bulk_text a | b',
      `bulk_video data:video/mp4;presigned_url,https://host/a.mp4?sig=1,2 | data:video_frames/jpg;presigned_url,{${urls}}`,
      `query data:video/mp4;base64,${Buffer.from('bytes').toString('base64')}`,
    ])
  })

  it('are read from the source no faster than they are answered', async () => {
    let read = 0
    const server = await foreignServer(async (request) => {
      // Everything that is read before this response has been read by now.
      await new Promise((resolve) => setTimeout(resolve, 50))
      return vectors(request)
    })
    let most = 0
    function* source() {
      for (const item of texts(64)) {
        read += 1
        most = Math.max(most, read - inputsSeen())
        yield item
      }
    }
    const inputsSeen = () => server.seen.length * 4
    await clientOf(server.url, { batchSize: 4, maxParallel: 1 }).embedMany(source())
    expect(most).toBeLessThanOrEqual(16)
  })

  it('report their progress, and stop if onProgress throws', async () => {
    const server = await foreignServer(vectors)
    const told: object[] = []
    await clientOf(server.url, { batchSize: 2, maxParallel: 1 }).embedMany(texts(3), {
      onProgress: (progress) => told.push(progress),
    })
    expect(told).toEqual([0, 1, 2].map((i) => ({ stage: 'encode', done: i + 1, total: 3, index: i, key: i })))
    const mine = new Error('mine')
    const failing = clientOf(server.url).embedMany(texts(3), {
      onProgress: () => {
        throw mine
      },
    })
    await expect(failing).rejects.toBe(mine)
  })
})

describe('a stream', () => {
  it('from a slow source is sent at once, in requests that grow while others are in flight', async () => {
    const { opened: sourceEnded, open: endOfSource } = gate()
    const server = await foreignServer(async (request) => {
      await sourceEnded
      return vectors(request)
    })
    async function* source() {
      for (const item of texts(40)) {
        if (item.key % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
        yield item
      }
      endOfSource()
    }
    const keys: number[] = []
    for await (const one of clientOf(server.url, { maxParallel: 1 }).embedStream(source(), {
      ordered: true,
    })) {
      expect(one).toMatchObject({ status: 'fulfilled', index: one.key, value: { kind: 'text' } })
      keys.push(one.key)
    }
    expect(keys).toEqual(texts(40).map(({ key }) => key))
    expect(server.seen.map((one) => inputsOf(one).length)).toEqual([10, 30])
  })

  it('is read no further than results are taken', async () => {
    const server = await foreignServer(vectors)
    let read = 0
    let taken = 0
    function* source() {
      for (let key = 0; ; key++) {
        read += 1
        yield { text: `text ${key}`, key }
      }
    }
    const client = clientOf(server.url, { batchSize: 4 })
    for await (const _ of client.embedStream(source(), { concurrency: 10 })) {
      taken += 1
      expect(read - taken).toBeLessThanOrEqual(10)
      if (taken === 100) break
      if (taken % 30 === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })

  it('that is left stops its source and the requests in flight', async () => {
    const server = await foreignServer(async (request) => {
      if (!inputsOf(request).includes('text 0')) return new Promise<Reply>(() => {})
      while (server.seen.length < 4) await new Promise((resolve) => setTimeout(resolve, 1))
      return vectors(request)
    })
    let stopped = false
    const items = texts(8)[Symbol.iterator]()
    // The source hangs after eight items, and is closed nevertheless.
    const source = {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          const next = items.next()
          return next.done ? new Promise<never>(() => {}) : next
        },
        return: async () => {
          stopped = true
          return { done: true as const, value: undefined }
        },
      }),
    }
    for await (const one of clientOf(server.url, { batchSize: 2 }).embedStream(source)) {
      expect([0, 1]).toContain(one.key)
      break
    }
    expect(stopped).toBe(true)
    await Promise.all(server.seen.map(({ gone }) => gone))
  })

  it('that is paused does not delay a draining dispose, and ends with it', async () => {
    const server = await foreignServer(vectors)
    const client = clientOf(server.url)
    const loop = client.embedStream(texts(3))
    await loop.next()
    await client.dispose({ drain: true })
    await expect(loop.next()).rejects.toMatchObject({ code: 'closed' })
  })

  it('rejects unknown options instead of throwing', async () => {
    const server = await foreignServer(vectors)
    const refused = clientOf(server.url).embedMany(texts(1), { ordered: true } as object)
    await expect(refused).rejects.toMatchObject({ code: 'invalid_argument' })
  })

  it.each([
    [{ concurrency: 0 }, 'concurrency'],
    [{ ordered: 1 }, 'ordered'],
    [{ batch: 2 }, 'batch'],
  ])('refuses %j', async (options, name) => {
    const server = await foreignServer(vectors)
    const loop = clientOf(server.url).embedStream(texts(1), options as object)
    await expect(loop.next()).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining(name),
    })
    expect(server.seen).toEqual([])
  })
})

describe('a bad item', () => {
  const bad = (index: number) => [3, 17, 40].includes(index)
  const isBad = (input: string) => bad(Number(input.split(' ')[1]))
  /** Errors of `cosmos-embed serve`, which name the item, and of NVIDIA's open-source server, which do not. */
  const servers: [string, (request: Seen) => Reply][] = [
    [
      'that is named',
      (request) => {
        const index = inputsOf(request).findIndex(isBad)
        return index < 0
          ? vectors(request)
          : ourError(422, 'media', { param: `input[${index}]`, message: `input[${index}]: broken` })
      },
    ],
    [
      'that is not named',
      (request) =>
        inputsOf(request).some(isBad)
          ? openError(422, 'invalid_request_error', 'one of them is broken')
          : vectors(request),
    ],
  ]
  it.each(servers)('%s does not fail the others', async (_, answer) => {
    const server = await foreignServer(answer)
    const settled = await clientOf(server.url).embedMany(texts(64))
    const failed = settled.flatMap((one) => (one.status === 'rejected' ? [one] : []))
    expect(failed.map(({ key }) => key)).toEqual([3, 17, 40])
    expect(failed.map(({ reason }) => reason.index)).toEqual([3, 17, 40])
    for (const { reason } of failed) expect(reason.message).toMatch(/^(one of them is )?broken$/)
    // As many requests as a binary search needs, instead of one per item.
    expect(server.seen.length).toBeLessThan(40)
  })

  it('fails the whole documented request, with its index there', async () => {
    const server = await foreignServer((request) =>
      inputsOf(request)[0]?.includes('base64')
        ? ourError(422, 'media', { param: 'input[0]' })
        : vectors(request),
    )
    const input = [{ video: new URL('https://host/a.mp4') }, { video: Buffer.from('bad') }]
    const failing = clientOf(server.url).embed({ request_type: 'bulk_video', input })
    await expect(failing).rejects.toMatchObject({ code: 'media', index: 1 })
  })

  it('does not matter if the server refuses the client: the list ends', async () => {
    const server = await foreignServer(() => ourError(401, 'unauthorized'))
    const failing = clientOf(server.url, { maxParallel: 1 }).embedMany(texts(640))
    await expect(failing).rejects.toMatchObject({ code: 'remote_rejected', details: { status: 401 } })
    expect(server.seen.length).toBeLessThanOrEqual(2)
  })
})

describe('a retry', () => {
  it.each<[string, Reply, number]>([
    ['after a 500', ourError(500, 'engine', quick), 3],
    ['after a 502', openError(502, 'bad_gateway', 'x'), 3],
    ['after a connection that breaks off', { hangUp: true }, 3],
    ['not after a 422', ourError(422, 'media'), 1],
    [
      'not where the server forbids it',
      ourError(500, 'model', { headers: { 'x-should-retry': 'false' } }),
      1,
    ],
    [
      'where the server asks for it',
      ourError(422, 'media', { headers: { 'x-should-retry': 'true', 'retry-after-ms': '1' } }),
      3,
    ],
    ['not after a redirection', { status: 307, headers: { location: '/elsewhere' } }, 1],
    [
      'not where it is to wait for longer than anybody would',
      ourError(503, 'not_ready', { headers: { 'retry-after': '3600' } }),
      1,
    ],
  ])(
    '%s',
    async (_, reply, expected) => {
      const server = await foreignServer(() => reply)
      await expect(clientOf(server.url).embedText('a')).rejects.toThrow()
      expect(server.seen).toHaveLength(expected)
    },
    20_000,
  )

  it('may succeed, and waits as long as the server asks', async () => {
    const server = await foreignServer((request, count) =>
      count < 3 ? ourError(503, 'not_ready', { headers: { 'retry-after': '0.05' } }) : vectors(request),
    )
    const began = performance.now()
    await clientOf(server.url).embedText('a')
    expect(performance.now() - began).toBeGreaterThan(90)
    expect(server.seen).toHaveLength(3)
  })

  it('waits for an overloaded server until the deadline, unless whenFull is refuse', async () => {
    const full = ourError(429, 'overloaded', quick)
    const server = await foreignServer((request, count) => (count < 9 ? full : vectors(request)))
    await clientOf(server.url, { maxRetries: 0 }).embedText('a')
    expect(server.seen).toHaveLength(9)
    const always = await foreignServer(() => ourError(429, 'overloaded', { headers: { 'retry-after': '7' } }))
    const refused = clientOf(always.url).embedText('a', { whenFull: 'refuse' })
    await expect(refused).rejects.toMatchObject({ code: 'overloaded', retryAfter: 7 })
    expect(always.seen).toHaveLength(1)
  })

  it('does not exceed timeoutMs', async () => {
    const server = await foreignServer(() =>
      ourError(429, 'overloaded', { headers: { 'retry-after-ms': '30' } }),
    )
    const failing = clientOf(server.url, { timeoutMs: 200 }).embedText('a')
    await expect(failing).rejects.toMatchObject({ code: expect.stringMatching(/^(overloaded|timeout)$/) })
    const silent = await foreignServer(() => new Promise<Reply>(() => {}))
    await expect(clientOf(silent.url, { timeoutMs: 50 }).embedText('a')).rejects.toMatchObject({
      code: 'timeout',
    })
  })
})

it('closes the stream of a call that is refused before anything is sent', async () => {
  const server = await foreignServer(vectors)
  const client = clientOf(server.url)
  const closed: number[] = []
  const stream = (name: number) =>
    new ReadableStream<Uint8Array>({
      cancel: () => {
        closed.push(name)
      },
    })
  const second = { video: stream(2), key: 2 }
  const refused = [
    client.classify(stream(1), ['a', ' ']),
    client.embed({ request_type: 'bulk_video', input: [second, { text: ' ' }] }),
    client.embedVideo(stream(3), { start: 1 } as object),
    client.embed({ request_type: 'bulk_text', input: [{ video: stream(4) }] }),
  ]
  for (const call of refused) await expect(call).rejects.toThrow()
  expect(closed.sort()).toEqual([1, 2, 3, 4])
  expect(server.seen).toEqual([])
})

describe('an abort', () => {
  const reason = new Error('enough')
  it.each<[string, (client: ReturnType<typeof clientOf>, signal: AbortSignal) => Promise<unknown>]>([
    ['of a text', (client, signal) => client.embedText('a', { signal })],
    [
      'of a request',
      (client, signal) => client.embed({ request_type: 'bulk_text', input: ['a'] }, { signal }),
    ],
    ['of a list', (client, signal) => client.embedMany(texts(200), { signal })],
    ['of labels', (client, signal) => client.classify(Buffer.from('x'), ['a'], { signal })],
  ])('ends %s with its reason, and closes the connection', async (_, call) => {
    const controller = new AbortController()
    const server = await foreignServer(() => {
      controller.abort(reason)
      return new Promise<Reply>(() => {})
    })
    await expect(call(clientOf(server.url), controller.signal)).rejects.toBe(reason)
    await expect(call(clientOf(server.url), controller.signal)).rejects.toBe(reason)
  })

  it('interrupts a wait between two attempts, and a source that hangs', async () => {
    const server = await foreignServer(() => ourError(503, 'not_ready', { headers: { 'retry-after': '30' } }))
    await expect(
      clientOf(server.url).embedText('a', { signal: AbortSignal.timeout(100) }),
    ).rejects.toMatchObject({ name: 'TimeoutError' })
    const source = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }
    const controller = new AbortController()
    const waiting = clientOf(server.url).embedMany(source, { signal: controller.signal })
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })

  it('by dispose ends running and later calls', async () => {
    const server = await foreignServer(() => new Promise<Reply>(() => {}))
    const client = createClient({ url: server.url })
    const running = client.embedText('a')
    const ended = expect(running).rejects.toMatchObject({ code: 'closed' })
    await client.dispose()
    await ended
    await expect(client.embedText('a')).rejects.toMatchObject({ code: 'closed' })
  })

  it('does not happen in a draining dispose', async () => {
    const server = await foreignServer(async (request) => {
      await new Promise((resolve) => setTimeout(resolve, 50))
      return vectors(request)
    })
    const client = createClient({ url: server.url })
    const running = client.embedText('a')
    await client.dispose({ drain: true })
    expect((await running).kind).toBe('text')
  })
})
