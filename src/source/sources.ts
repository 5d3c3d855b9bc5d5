/** Turns a source into input of the native decoders: a path to open, or bytes in memory. */
import type { NativeMediaSource, NativeStillImage } from '#binding'
import { onAbort } from '../base/abort.ts'
import { SourceError } from '../errors.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import type { Resolve } from './address.ts'
import { collectStream, type Reserve, readBlob } from './bytes.ts'
import type { DownloadSettings, Downloads } from './download.ts'
import { DownloadSlots, enterSlot, type ResolvedReadOptions } from './download-slots.ts'
import { checkFile, readWholeFile } from './file.ts'
import { checkLimits, type Limits, type LimitsInput } from './limits.ts'
import type { FrameSource, VideoSource } from './source.ts'
import { checkUrlPolicy, type UrlPolicy } from './url-policy.ts'

export interface ResolvedVideo {
  media: NativeMediaSource
  /** Bytes held in memory; 0 for a file, which is read while it is decoded. */
  bytes: number
  /** Set when the bytes belong to the caller and must be copied: see {@link copyMedia}. */
  borrowed?: true
}

export interface ResolvedFrames {
  images: NativeStillImage[]
  bytes: number
  /** Set when some of the bytes belong to the caller. */
  borrowed?: true
}

export interface SourceOptions {
  urls?: UrlPolicy | undefined
  limits?: LimitsInput | undefined
  /** Name resolution. Default: the system resolver. */
  resolve?: Resolve | undefined
}

const borrowed = { borrowed: true } as const

/** How the media of one item is read. */
export interface ReadOptions {
  signal?: AbortSignal | undefined
  /** Order among waiting downloads. Default `query`. */
  priority?: Priority | undefined
  /** Awaited before memory is allocated. Default: no limit. */
  reserve?: Reserve | undefined
  /** Called with the milliseconds that a download waited for its slot. */
  onSlotWait?: ((milliseconds: number) => void) | undefined
}

/** Reads the media of one embedder and limits its concurrent downloads. Keeps nothing open between calls. */
export class Sources {
  readonly #downloads: DownloadSettings
  #loaded: Promise<Downloads> | undefined

  /** The options are valid already. */
  constructor({ urls: policy, limits, resolve }: SourceOptions & { urls: UrlPolicy; limits: Limits }) {
    const slots = new DownloadSlots(limits.maxDownloads, limits.maxDownloadsPerHost)
    this.#downloads = { policy, limits, slots, resolve }
  }

  /** Downloads and streams that wait for a slot, and that are being read. */
  queue(): { waiting: number; running: number } {
    const { waiting, running } = this.#downloads.slots
    return { waiting, running }
  }

  /** Reads a video. Rejects with SourceError, LimitError, BlockedUrlError, DownloadError or `signal.reason`. */
  async video(source: VideoSource, options: ReadOptions = {}): Promise<ResolvedVideo> {
    options.signal?.throwIfAborted()
    if (source.type === 'path')
      return { media: { path: await checkFile(source.path, options.signal) }, bytes: 0 }
    const bytes = await this.#videoBytes(source, withDefaults(options))
    return { media: { bytes }, bytes: bytes.byteLength, ...(source.type === 'bytes' && borrowed) }
  }

  /** The body of a URL that never ends, as it comes. Throws BlockedUrlError, DownloadError or `signal.reason`. */
  async *endless(url: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { endless } = await this.#loadDownloads()
    yield* endless(url, signal)
  }

  /** Reads the pictures of one clip, in order. Rejects as {@link Sources.video} does. */
  async frames(sources: readonly FrameSource[], options: ReadOptions = {}): Promise<ResolvedFrames> {
    const { signal } = options
    signal?.throwIfAborted()
    // The first failure cancels the other reads.
    const siblings = new AbortController()
    const stop = signal ? onAbort(signal, () => siblings.abort(signal.reason)) : () => {}
    const own = withDefaults({ ...options, reserve: serialized(options.reserve), signal: siblings.signal })
    try {
      const share = Math.floor(this.#downloads.limits.maxMediaBytes / Math.max(1, sources.length))
      const reads = sources.map((source) => this.#frame(source, share, own))
      for (const read of reads) read.catch((error) => siblings.abort(error))
      // Waits for all of them, because the memory is given back after this call and a read that goes on would reserve more.
      await Promise.allSettled(reads)
      siblings.signal.throwIfAborted()
      const images = await Promise.all(reads)
      const bytes = images.reduce((sum, image) => sum + byteLength(image), 0)
      const some = sources.some(({ type }) => type === 'bytes' || type === 'image')
      return { images, bytes, ...(some && borrowed) }
    } finally {
      stop()
    }
  }

  async #videoBytes(
    source: Exclude<VideoSource, { type: 'path' }>,
    options: ResolvedReadOptions,
  ): Promise<Uint8Array> {
    const { maxMediaBytes } = this.#downloads.limits
    switch (source.type) {
      case 'bytes':
        return notEmpty(source.bytes)
      case 'blob':
        return await readBlob(source.blob, maxMediaBytes, options.reserve, options.signal)
      case 'stream':
        return await this.#inSlot(options, () =>
          collectStream(source.stream, maxMediaBytes, options.reserve, options.signal),
        )
      case 'url':
        return await this.#fetch(source.url, maxMediaBytes, options)
    }
  }

  async #frame(source: FrameSource, limit: number, options: ResolvedReadOptions): Promise<NativeStillImage> {
    switch (source.type) {
      case 'image':
        return source.image
      case 'bytes':
        return notEmpty(source.bytes)
      case 'blob':
        return await readBlob(source.blob, limit, options.reserve, options.signal)
      case 'path':
        return await readWholeFile(source.path, limit, options)
      case 'url':
        return await this.#fetch(source.url, limit, options)
    }
  }

  /** The code that downloads is loaded with the first URL. */
  async #fetch(url: string, limit: number, options: ResolvedReadOptions): Promise<Uint8Array> {
    const { whole } = await this.#loadDownloads()
    return await whole(url, limit, options)
  }

  #loadDownloads(): Promise<Downloads> {
    this.#loaded ??= import('./download.ts').then(({ createDownloads }) => createDownloads(this.#downloads))
    return this.#loaded
  }

  async #inSlot<T>(options: ResolvedReadOptions, read: () => Promise<T>): Promise<T> {
    const release = await enterSlot(this.#downloads.slots, options)
    try {
      return await read()
    } finally {
      release()
    }
  }
}

function withDefaults(options: ReadOptions): ResolvedReadOptions {
  const { signal = new AbortController().signal, priority = 'query', onSlotWait = () => {} } = options
  return { signal, priority, onSlotWait, reserve: options.reserve ?? (async () => {}) }
}

/** Serializes reservations, because a memory reservation accepts one at a time and the pictures of a clip share one. */
function serialized(reserve: Reserve | undefined): Reserve | undefined {
  if (!reserve) return undefined
  let last: Promise<void> = Promise.resolve()
  return (bytes) => {
    last = last.then(() => reserve(bytes))
    return last
  }
}

/** Throws InvalidArgumentError. */
export function createSources({ urls, limits, ...others }: SourceOptions = {}): Sources {
  return new Sources({ ...others, urls: checkUrlPolicy(urls), limits: checkLimits(limits) })
}

function byteLength(image: NativeStillImage): number {
  return image instanceof Uint8Array ? image.byteLength : image.data.byteLength
}

function notEmpty(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength === 0) throw new SourceError('the media holds no bytes')
  return bytes
}
