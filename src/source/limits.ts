/** Limits on inputs and on work in flight, with their defaults. Decode limits are in `decode.limits`. */
import type { z } from 'zod'
import { checkOptions } from '../base/validate.ts'
import { lazySchema } from '../base/zod.ts'

const MiB = 1024 * 1024

/** Limits on inputs and on work in flight. All are whole numbers, ≥ 1 unless stated otherwise. */
export interface Limits {
  /** Items per request. Default 64. */
  maxItems: number
  /** Items in flight over all calls, ≥ `maxItems`. Default 512; an eighth of them is reserved for queries. */
  maxItemsInFlight: number
  /** Bytes of media held in memory over all calls. Default 1 GiB; an eighth of them is reserved for queries. */
  maxBytesInFlight: number
  /** UTF-16 code units per text. Default 65,536. The model sees only the first `maxTextTokens` tokens of a text. */
  maxTextCharacters: number
  /** Decoded bytes of one item's base64 media. Default 32 MiB. */
  maxInlineBytes: number
  /** Bytes of one item that is downloaded or streamed. Default 96 MiB; the pictures of a list share it evenly. */
  maxMediaBytes: number
  /** UTF-16 code units per URL. Default 8,192. */
  maxUrlCharacters: number
  /** Downloads at one time, over all calls. Default 16. */
  maxDownloads: number
  /** Downloads at one time from one host name. Default 8. */
  maxDownloadsPerHost: number
  /** Milliseconds for name lookup, TCP connection and TLS handshake together. Default 10,000. */
  connectTimeoutMs: number
  /** Milliseconds from sending the request to receiving the response headers. Default 10,000. */
  headersTimeoutMs: number
  /** Milliseconds between two chunks of the response body. Default 15,000. */
  idleTimeoutMs: number
  /** Lowest average rate of a response body over each `idleTimeoutMs`, in bytes per second. Default 32,768; 0 disables it. */
  minDownloadRate: number
  /** Milliseconds for one download, redirects included. Default 300,000. */
  downloadTimeoutMs: number
}

/** {@link Limits} with every field optional. */
export type LimitsInput = { [Name in keyof Limits]?: Limits[Name] | undefined }

interface Range {
  fallback: number
  min: number
  max: number
}

const count = (fallback: number, min = 1): Range => ({ fallback, min, max: Number.MAX_SAFE_INTEGER })
const milliseconds = (fallback: number): Range => ({ fallback, min: 1, max: 2_147_483_647 })

const ranges: Readonly<Record<keyof Limits, Range>> = {
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
  minDownloadRate: count(32 * 1024, 0),
  downloadTimeoutMs: milliseconds(300_000),
}

function forEachRange<T>(make: (range: Range) => T): Record<keyof Limits, T> {
  const entries = Object.entries(ranges).map(([name, range]) => [name, make(range)])
  return Object.fromEntries(entries) as Record<keyof Limits, T>
}

/** All limits at their defaults. */
export const defaultLimits: Readonly<Limits> = forEachRange(({ fallback }) => fallback)

/** Validates {@link LimitsInput} and applies the defaults. */
export const limitsSchema: () => z.ZodType<Limits, LimitsInput | undefined> = lazySchema((z) =>
  z
    .strictObject(
      forEachRange(({ fallback, min, max }) => {
        const whole = z.int().min(min)
        return (max === Number.MAX_SAFE_INTEGER ? whole : whole.max(max)).default(fallback)
      }),
    )
    .prefault({}),
)

/** Applies the defaults. Throws InvalidArgumentError. */
export function checkLimits(limits: LimitsInput | undefined): Limits {
  return limits === undefined ? { ...defaultLimits } : checkOptions(limitsSchema(), limits, 'limits')
}
