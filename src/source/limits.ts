/** Every limit on what comes in, with its default, in one place. Decode limits belong to the native side. */
import { z } from 'zod'

const MiB = 1024 * 1024

export interface Limits {
  /** Items of one request. */
  maxItems: number
  /** Items in flight over all calls, at least `maxItems`. An eighth is kept free for queries. */
  maxItemsInFlight: number
  /** Bytes of media held in memory over all calls. An eighth is kept free for queries. */
  maxBytesInFlight: number
  /** UTF-16 units of one text. Only the first `maxTextTokens` tokens count anyway. */
  maxTextCharacters: number
  /** Bytes of one item's base64 media, decoded. */
  maxInlineBytes: number
  /** Bytes of one item that is downloaded or streamed; the pictures of a clip share it evenly. */
  maxMediaBytes: number
  maxUrlCharacters: number
  /** Downloads at one time, of all callers. */
  maxDownloads: number
  /** Of them from one host name. */
  maxDownloadsPerHost: number
  /** Milliseconds for name lookup, connection and TLS together. */
  connectTimeoutMs: number
  /** Milliseconds from the request to the response headers. */
  headersTimeoutMs: number
  /** Milliseconds between two chunks of the body. */
  idleTimeoutMs: number
  /** Bytes per second that a body must bring, on average over each `idleTimeoutMs`; 0 takes any. */
  minDownloadRate: number
  /** Milliseconds for one download, redirects included. */
  downloadTimeoutMs: number
}

export type LimitsInput = { [Name in keyof Limits]?: Limits[Name] | undefined }

const count = (fallback: number) => z.int().min(1).default(fallback)
const milliseconds = (fallback: number) => z.int().min(1).max(2_147_483_647).default(fallback)

/** Every field optional on input, filled with its default. */
export const limitsSchema: z.ZodType<Limits, LimitsInput | undefined> = z
  .strictObject({
    maxItems: count(64),
    maxItemsInFlight: count(512),
    maxBytesInFlight: count(1024 * MiB),
    maxTextCharacters: count(65_536),
    maxInlineBytes: count(32 * MiB),
    maxMediaBytes: count(96 * MiB),
    maxUrlCharacters: count(8_192),
    maxDownloads: count(16),
    maxDownloadsPerHost: count(8),
    connectTimeoutMs: milliseconds(10_000),
    headersTimeoutMs: milliseconds(10_000),
    idleTimeoutMs: milliseconds(15_000),
    minDownloadRate: z
      .int()
      .min(0)
      .default(32 * 1024),
    downloadTimeoutMs: milliseconds(300_000),
  })
  .prefault({})

export const defaultLimits: Readonly<Limits> = limitsSchema.parse(undefined)
