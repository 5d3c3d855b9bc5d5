/** From a source to what the native side takes: a path to open, or bytes in memory. */
import type { NativeMediaSource, NativeStillImage } from '#binding'
import { onAbort } from '../base/abort.ts'
import { checkOptions } from '../base/validate.ts'
import { SourceError } from '../errors.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import { type Resolve, resolveWithSystem } from './address.ts'
import { collectStream, type Reserve, readBlob } from './bytes.ts'
import { type CompleteReading, type Downloads, download, enterSlot } from './download.ts'
import { DownloadSlots } from './download-slots.ts'
import { checkFile, readWholeFile } from './file.ts'
import { type LimitsInput, limitsSchema } from './limits.ts'
import type { FrameSource, VideoSource } from './source.ts'
import { trustOf } from './trust.ts'
import { type UrlPolicy, urlPolicySchema } from './url-policy.ts'

export interface ResolvedVideo {
  media: NativeMediaSource
  /** Held in memory; 0 for a file, which is read as it is decoded. */
  bytes: number
  /** The bytes are the caller's: see {@link copyMedia}. */
  borrowed?: true
}

export interface ResolvedFrames {
  images: NativeStillImage[]
  bytes: number
  /** Some of the bytes are the caller's. */
  borrowed?: true
}

export interface SourceOptions {
  urls?: UrlPolicy | undefined
  limits?: LimitsInput | undefined
  /** Name resolution. Default: the system's. */
  resolve?: Resolve | undefined
}

const borrowed = { borrowed: true } as const
/** How one item's media is read. */
export interface Reading {
  signal?: AbortSignal | undefined
  /** Whose downloads come first. Default `query`. */
  priority?: Priority | undefined
  /** Asked for room before anything is allocated. Default: there is always room. */
  room?: Reserve | undefined
  /** Told how many milliseconds it waited for a slot. */
  waited?: ((milliseconds: number) => void) | undefined
}

/** One per embedder: it owns the caps on concurrent downloads. Holds nothing open between calls. */
export class Sources {
  readonly #downloads: Downloads

  /** Downloads, and streams that are read. */
  queue(): { waiting: number; running: number } {
    const { waiting, running } = this.#downloads.slots
    return { waiting, running }
  }

  /** Throws InvalidArgumentError. */
  constructor({ urls, limits: givenLimits, resolve = resolveWithSystem }: SourceOptions = {}) {
    const limits = checkOptions(limitsSchema, givenLimits, 'limits')
    const policy = checkOptions(urlPolicySchema, urls, 'urls')
    const slots = new DownloadSlots(limits.maxDownloads, limits.maxDownloadsPerHost)
    this.#downloads = { policy, limits, slots, resolve, trust: trustOf(policy) }
  }

  /** Rejects with SourceError, LimitError, BlockedUrlError or DownloadError, or with `signal.reason`. */
  async video(source: VideoSource, reading: Reading = {}): Promise<ResolvedVideo> {
    reading.signal?.throwIfAborted()
    if (source.type === 'path') return { media: { path: await checkFile(source.path) }, bytes: 0 }
    const bytes = await this.#videoBytes(source, complete(reading))
    return { media: { bytes }, bytes: bytes.byteLength, ...(source.type === 'bytes' && borrowed) }
  }

  /** As {@link Sources.video}, for the pictures of one clip; order kept. */
  async frames(sources: readonly FrameSource[], reading: Reading = {}): Promise<ResolvedFrames> {
    const { signal } = reading
    signal?.throwIfAborted()
    // The first failure stops the others.
    const siblings = new AbortController()
    const stop = signal ? onAbort(signal, () => siblings.abort(signal.reason)) : () => {}
    const own = complete({ ...reading, room: inTurn(reading.room), signal: siblings.signal })
    try {
      const share = Math.floor(this.#downloads.limits.maxMediaBytes / Math.max(1, sources.length))
      const images = await Promise.all(sources.map((source) => this.#frame(source, share, own)))
      const bytes = images.reduce((sum, image) => sum + byteLength(image), 0)
      const some = sources.some(({ type }) => type === 'bytes' || type === 'image')
      return { images, bytes, ...(some && borrowed) }
    } catch (error) {
      siblings.abort(error)
      throw error
    } finally {
      stop()
    }
  }

  async #videoBytes(
    source: Exclude<VideoSource, { type: 'path' }>,
    reading: CompleteReading,
  ): Promise<Uint8Array> {
    const { maxMediaBytes } = this.#downloads.limits
    switch (source.type) {
      case 'bytes':
        return notEmpty(source.bytes)
      case 'blob':
        return await readBlob(source.blob, maxMediaBytes, reading.room, reading.signal)
      case 'stream':
        return await this.#inSlot(reading, () =>
          collectStream(source.stream, maxMediaBytes, reading.room, reading.signal),
        )
      case 'url':
        return await download(source.url, maxMediaBytes, this.#downloads, reading)
    }
  }

  async #frame(source: FrameSource, limit: number, reading: CompleteReading): Promise<NativeStillImage> {
    switch (source.type) {
      case 'image':
        return source.image
      case 'bytes':
        return notEmpty(source.bytes)
      case 'blob':
        return await readBlob(source.blob, limit, reading.room, reading.signal)
      case 'path':
        return await readWholeFile(source.path, limit, reading)
      case 'url':
        return await download(source.url, limit, this.#downloads, reading)
    }
  }

  async #inSlot<T>(reading: CompleteReading, read: () => Promise<T>): Promise<T> {
    const release = await enterSlot(this.#downloads.slots, reading)
    try {
      return await read()
    } finally {
      release()
    }
  }
}

function complete(reading: Reading): CompleteReading {
  const { signal = new AbortController().signal, priority = 'query', waited = () => {} } = reading
  return { signal, priority, waited, room: reading.room ?? (async () => {}) }
}

/** The pictures of a clip are one item, which asks for one thing at a time. */
function inTurn(room: Reserve | undefined): Reserve | undefined {
  if (!room) return undefined
  let last: Promise<void> = Promise.resolve()
  return (bytes) => {
    last = last.then(() => room(bytes))
    return last
  }
}

export function createSources(options: SourceOptions = {}): Sources {
  return new Sources(options)
}

function byteLength(image: NativeStillImage): number {
  return image instanceof Uint8Array ? image.byteLength : image.data.byteLength
}

function notEmpty(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength === 0) throw new SourceError('the media holds no bytes')
  return bytes
}
