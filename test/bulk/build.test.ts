import { describe, expect, it } from 'vitest'
import {
  buildIndex,
  type IndexDescription,
  type IndexedItem,
  type IndexOptions,
  type IndexSource,
  shardOf,
  type VectorSink,
} from '../../src/bulk/index.ts'
import { planRow } from '../../src/bulk/planned-item.ts'
import { DeviceLostError, DownloadError, MediaError } from '../../src/index.ts'
import { doubleEmbedder, vectorOf } from './double.mjs'

/** A sink as a user might write it. */
class MemorySink implements VectorSink {
  readonly items = new Map<string, IndexedItem>()
  readonly batches: number[] = []
  description: IndexDescription | undefined
  closed = 0
  failing = false

  async open(description: IndexDescription) {
    this.description = description
  }
  async *held() {
    yield* this.items.keys()
  }
  async write(items: readonly IndexedItem[]) {
    if (this.failing) throw new Error('the disk is full')
    this.batches.push(items.length)
    for (const item of items) {
      expect(this.items.has(item.id), `${item.id} comes once`).toBe(false)
      this.items.set(item.id, item)
    }
  }
  async close() {
    this.closed++
  }
}

const source = (rows: object[]): IndexSource => ({
  name: 'rows',
  async *items() {
    for (const [index, row] of rows.entries()) yield planRow({ ...row }, '/videos', `row ${index}`)
  },
})
const videos = (count: number) => Array.from({ length: count }, (_, index) => ({ video: `${index}.mp4` }))

async function build(
  rows: object[],
  sink: MemorySink,
  options: IndexOptions = {},
  embedder = doubleEmbedder(),
) {
  const failures: [string, string][] = []
  const tally = await buildIndex(embedder, [source(rows)], sink, {
    backoffSeconds: 0.001,
    onFailure: (key, { code }) => void failures.push([key, code]),
    ...options,
  })
  return { tally, failures, embedder }
}

describe('an index', () => {
  it('has a row for each video and text, with the further columns of the manifest', async () => {
    const sink = new MemorySink()
    const { tally } = await build(
      [
        { id: 'a', video: 'x.mp4', start: 1, end: 2.5, tag: 'red', score: 1, size: 7 },
        { text: 'a red circle', tag: null, score: 0.5, size: 2n ** 60n },
        { video: 'https://host/v.mp4', deep: { a: [1] } },
      ],
      sink,
    )
    expect(tally).toMatchObject({ total: 3, embedded: 3, rows: 3, failed: 0, bytes: 20 })
    expect(sink.description).toMatchObject({
      model: { id: 'double', fingerprint: 'f1', embeddingDim: 4 },
      columns: { tag: 'string', score: 'double', size: 'int64', deep: 'string' },
    })
    expect(sink.items.get('a')?.rows).toEqual([
      {
        id: 'a',
        uri: '/videos/x.mp4',
        start: 1,
        end: 2.5,
        embedding: vectorOf('/videos/x.mp4'),
        warnings: [],
        carried: { tag: 'red', score: 1, size: 7, deep: null },
      },
    ])
    expect(sink.items.get('a red circle')?.rows[0]).toMatchObject({
      uri: null,
      start: null,
      end: null,
      carried: { tag: null, score: 0.5, size: `${2n ** 60n}` },
    })
    expect(sink.items.get('https://host/v.mp4')?.rows[0]?.carried.deep).toBe('{"a":[1]}')
    expect(sink.closed).toBe(1)
  })

  it('resumes where it ended, and retries what failed', async () => {
    const sink = new MemorySink()
    let broken = true
    const fail = (name: string) => (broken && name.endsWith('3.mp4') ? new MediaError('no video') : undefined)
    const first = await build(videos(100), sink, {}, doubleEmbedder({ fail }))
    expect(first.tally).toMatchObject({ embedded: 90, failed: 10 })
    expect(first.failures[0]).toEqual(['/videos/3.mp4', 'media'])
    broken = false
    const second = await build(videos(120), sink)
    expect(second.tally).toMatchObject({ total: 120, embedded: 30, skipped: 90, failed: 0, unmet: 0 })
    expect(second.embedder.calls).toBe(30)
  })

  it('embeds a repeated file once; two rows with one id are an error', async () => {
    const sink = new MemorySink()
    const rows = [...videos(3), ...videos(2), { id: 'same', video: 'a' }, { id: 'same', video: 'b' }]
    const { tally, failures } = await build(rows, sink)
    expect(tally).toMatchObject({ embedded: 4, repeated: 2, failed: 1 })
    expect(failures).toEqual([['same', 'invalid_request']])
    expect(sink.items.get('same')?.rows[0]?.uri).toBe('/videos/a')
  })

  it('retries only retryable errors', async () => {
    const tries = new Map<string, number>()
    const fail = (name: string) => {
      const count = (tries.get(name) ?? 0) + 1
      tries.set(name, count)
      if (name.endsWith('/0.mp4') && count < 3) return new DownloadError('503')
      if (name.endsWith('/1.mp4')) return new DownloadError('503')
      if (name.endsWith('/2.mp4')) return new DownloadError('403', { permanent: true })
      return undefined
    }
    const { failures } = await build(videos(4), new MemorySink(), { retries: 2 }, doubleEmbedder({ fail }))
    expect([...tries.values()].sort()).toEqual([1, 1, 3, 3])
    expect(failures.map(([, code]) => code).sort()).toEqual(['download_failed', 'download_rejected'])
  })

  it('has a row for each window, and writes all windows of a video together', async () => {
    const sink = new MemorySink()
    const rows = [{ video: '3.mp4' }, { id: 'b', video: '2.mp4' }, { text: 'words' }, { video: '0.mp4' }]
    const { tally, failures } = await build(rows, sink, { windows: { seconds: 4, stride: 2 } })
    expect(tally).toMatchObject({ embedded: 3, rows: 6, failed: 1 })
    expect(failures).toEqual([['/videos/0.mp4', 'media']])
    expect(sink.items.get('b')?.rows.map(({ id, start, end }) => [id, start, end])).toEqual([
      ['b#t=0,4', 0, 4],
      ['b#t=2,6', 2, 6],
    ])
    expect(sink.items.get('words')?.rows[0]?.id).toBe('words')
  })

  it('is divided so that each item belongs to exactly one shard', async () => {
    const sinks = [0, 1, 2].map(() => new MemorySink())
    for (const [index, sink] of sinks.entries()) {
      const { tally } = await build(videos(300), sink, { shard: { index, count: 3 } })
      expect(tally.embedded).toBe(tally.total)
      expect(tally.total, 'about a third').toBeGreaterThan(60)
    }
    expect(new Set(sinks.flatMap(({ items }) => [...items.keys()])).size).toBe(300)
    expect(sinks.reduce((sum, { items }) => sum + items.size, 0)).toBe(300)
    // Printed by: printf clip | sha256sum | cut -c1-8
    expect(shardOf('clip', 2 ** 32)).toBe(0x67905ad3)
  })

  it('ends when the sink or a source fails, the device is lost, or the signal aborts', async () => {
    const full = new MemorySink()
    full.failing = true
    await expect(build(videos(500), full)).rejects.toThrow('the disk is full')
    expect(full.closed).toBe(1)

    const lost = new MemorySink()
    const fail = (name: string) => (name.endsWith('/200.mp4') ? new DeviceLostError('gone') : undefined)
    await expect(build(videos(500), lost, {}, doubleEmbedder({ fail }))).rejects.toMatchObject({
      code: 'device_lost',
    })
    expect(lost.items.size, 'what was embedded before is kept').toBeGreaterThan(60)

    const controller = new AbortController()
    const stopped = build(videos(500), new MemorySink(), {
      signal: controller.signal,
      onProgress: ({ embedded }) => embedded > 100 && controller.abort('enough'),
    })
    await expect(stopped).rejects.toBe('enough')

    const sink = new MemorySink()
    let times = 0
    const vanishing: IndexSource = {
      name: 'vanishing',
      async *items() {
        yield planRow({ video: 'a' }, '/', 'row')
        if (++times > 1) throw new Error('unmounted')
      },
    }
    await expect(buildIndex(doubleEmbedder(), [vanishing], sink)).rejects.toThrow('unmounted')
    expect(sink.closed).toBe(1)
  })

  it('has what is finished while a slow item is embedded', async () => {
    const embedder = doubleEmbedder()
    const { embedText } = embedder
    const sink = new MemorySink()
    let written = () => {}
    const isWritten = new Promise<void>((resolve) => {
      written = resolve
    })
    embedder.embedText = async (text: string) => {
      if (text === 'slow') await isWritten
      return embedText(text)
    }
    sink.write = async function (items) {
      await MemorySink.prototype.write.call(this, items)
      written()
    }
    const { tally } = await build([{ text: 'fast' }, { text: 'slow' }], sink, {}, embedder)
    expect(tally.embedded).toBe(2)
    expect(sink.batches).toEqual([1, 1])
  })

  it('ends when the sink fails while an item is embedded', async () => {
    const embedder = doubleEmbedder()
    const sink = new MemorySink()
    sink.failing = true
    embedder.embedVideo = (_, options) =>
      new Promise((_resolve, reject) => {
        const { signal } = options as { signal: AbortSignal }
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    await expect(build([{ text: 'a' }, { video: 'never.mp4' }], sink, {}, embedder)).rejects.toThrow(
      'the disk is full',
    )
    expect(sink.closed).toBe(1)
  })

  it('refuses manifest columns with reserved names', async () => {
    await expect(build([{ video: 'a', embedding: 1 }], new MemorySink())).rejects.toThrow(
      /column "embedding"/,
    )
  })
})
