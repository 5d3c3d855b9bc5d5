/**
 * Holds the part of a live stream that windows still need, and tells which windows are complete.
 *
 * Times follow the rules of `segments`: second 0 is the first picture shown, and a window has the pictures that are shown
 * within it, so that its vector is the one that the recorded stream would have.
 */
import { MediaError } from '../errors.ts'
import type { Track, Unit } from './units.ts'

/** A longer pause between two pictures, or a step back of the clock, begins a new part of the stream. */
const MAX_GAP_SECONDS = 10
const MAX_STEP_BACK_SECONDS = 0.5
/** Seconds that a caller wrote in decimal mean a tick exactly, despite binary rounding. The decoder does the same. */
const ROUNDING = 1e-3

export interface TimelineOptions {
  windowSeconds: number
  strideSeconds: number
  /** Whether a window's first picture must not be the first of what is decoded: its clock would begin elsewhere. */
  needsPictureBefore: boolean
  /** The most bytes to wait for a keyframe. */
  maxBytes: number
}

/** Pictures from one keyframe to the next. */
type Group = [Unit, ...Unit[]]

/** A part of the stream with one track and one clock. */
interface Epoch {
  track: Track
  /** Time of its first picture, in ticks, and in seconds of the whole stream. */
  origin: number
  seconds: number
  groups: Group[]
  /** The first window that is not complete. */
  next: number
  lastDts: number
  /** The most ticks that a picture was shown before its time of decoding, as some writers of MP4 have it. */
  late: number
  /** The last two times of pictures. */
  last: number
  lastButOne: number
  /** How many of its groups were compared with which tick, when it was last looked for what no window needs. */
  searched: { tick: number; groups: number }
}

interface Waiting {
  epoch: Epoch
  index: number
  start: number
  end: number
  /** Whether the stream ended before the window did. */
  isLast: boolean
  filledAt: number
}

export interface WithinVideo {
  /** The window, in seconds of the video. */
  range: { start: number; end?: number }
  /** What a time in the video is in the stream: this much more. */
  shift: number
}

/** A complete window, ready to be decoded. */
export interface FilledWindow {
  /** In seconds of the stream. */
  start: number
  end: number
  /** When its last picture had come, by the clock of `performance.now`. */
  filledAt: number
  /** The pictures that it takes, as a video. */
  video: Uint8Array
  /** The first picture of the video, and how many pictures it has. */
  keyframe: Unit
  pictures: number
  /**
   * Pictures that follow the first and are shown before it. They may need pictures before it (open GOP); only a decoder knows
   * how many of them it hides.
   */
  leading: number
  /** Where the window is in the video, of whose leading pictures a decoder hides this many. */
  within(hidden: number): WithinVideo
  /** Whether it is the first of its part of the stream. */
  discontinuity: boolean
}

export class Timeline {
  readonly #options: TimelineOptions
  #epochs: Epoch[] = []
  #waiting: Waiting[] = []
  #bytes = 0
  #unusable = 0
  /** The end of the part before, in seconds of the stream. */
  #end = 0

  constructor(options: TimelineOptions) {
    this.#options = options
  }

  /** Bytes of the pictures that are held. */
  get bytes(): number {
    return this.#bytes
  }

  /** Complete windows that nobody has taken. */
  get waiting(): number {
    return this.#waiting.length
  }

  add(unit: Unit, now: number): void {
    // Damaged, or made to fill memory with windows: no picture is shown so long before or after it is decoded.
    if (Math.abs(unit.pts - unit.dts) > MAX_GAP_SECONDS * unit.track.timescale) return
    let epoch = this.#current
    if (epoch && !continues(epoch, unit)) {
      this.#finish(epoch, now)
      epoch = undefined
    }
    if (!epoch) {
      if (!unit.key) {
        this.#skip(unit)
        return
      }
      this.#unusable = 0
      epoch = newEpoch(unit, this.#end)
      this.#epochs.push(epoch)
    }
    this.#append(epoch, unit)
    while (epoch.lastDts - epoch.late >= this.#tick(epoch, this.#endOf(epoch.next))) {
      this.#fill(epoch, { end: this.#endOf(epoch.next), isLast: false, filledAt: now })
    }
    this.#prune()
  }

  /** Ends the stream. A last window that is at least half full counts as complete. */
  end(now: number): void {
    if (this.#current) this.#finish(this.#current, now)
  }

  take(): FilledWindow | undefined {
    const window = this.#waiting.shift()
    if (!window) return undefined
    const filled = this.#cut(window)
    this.#prune()
    return filled
  }

  /** Gives up the oldest complete window. */
  drop(): { start: number; end: number } | undefined {
    const window = this.#waiting.shift()
    this.#prune()
    return window && streamTimes(window)
  }

  get #current(): Epoch | undefined {
    const last = this.#epochs.at(-1)
    return last && last.next !== Number.POSITIVE_INFINITY ? last : undefined
  }

  #skip({ bytes }: Unit): void {
    this.#unusable += bytes.byteLength
    if (this.#unusable > this.#options.maxBytes) {
      throw new MediaError(
        `the live stream has no keyframe within ${this.#options.maxBytes} bytes (maxBytes), where decoding could begin`,
      )
    }
  }

  #append(epoch: Epoch, unit: Unit): void {
    if (unit.key) epoch.groups.push([unit])
    else epoch.groups.at(-1)?.push(unit)
    this.#bytes += unit.bytes.byteLength
    epoch.lastDts = Math.max(epoch.lastDts, unit.dts)
    epoch.late = Math.max(epoch.late, unit.dts - unit.pts)
    if (unit.pts > epoch.last) {
      epoch.lastButOne = epoch.last
      epoch.last = unit.pts
    } else if (unit.pts < epoch.last) epoch.lastButOne = Math.max(epoch.lastButOne, unit.pts)
  }

  #startOf(index: number): number {
    return index * this.#options.strideSeconds
  }

  #endOf(index: number): number {
    return this.#startOf(index) + this.#options.windowSeconds
  }

  /** The first tick at or after a time of the epoch. */
  #tick({ origin, track }: Epoch, seconds: number): number {
    return origin + Math.ceil(seconds * track.timescale - ROUNDING)
  }

  #fill(epoch: Epoch, { end, isLast, filledAt }: Pick<Waiting, 'end' | 'isLast' | 'filledAt'>): void {
    const index = epoch.next++
    this.#waiting.push({ epoch, index, start: this.#startOf(index), end, isLast, filledAt })
  }

  #finish(epoch: Epoch, filledAt: number): void {
    const { origin, track, lastButOne } = epoch
    // A picture that is shown long after all others were decoded makes no windows.
    const last = Math.min(epoch.last, epoch.lastDts + MAX_GAP_SECONDS * track.timescale)
    const interval = lastButOne < last && lastButOne >= origin ? last - lastButOne : track.timescale / 25
    const end = (last - origin + interval) / track.timescale
    const { windowSeconds } = this.#options
    for (;;) {
      const start = this.#startOf(epoch.next)
      const stop = Math.min(start + windowSeconds, end)
      const isShort = stop - start < windowSeconds / 2 - 1e-9
      if (start >= end || (epoch.next > 0 && isShort)) break
      this.#fill(epoch, { end: stop, isLast: true, filledAt })
    }
    epoch.next = Number.POSITIVE_INFINITY
    this.#end = epoch.seconds + end
    this.#prune()
  }

  #cut(window: Waiting): FilledWindow {
    const { epoch, index, isLast, filledAt } = window
    const { groups, track, origin } = epoch
    const from = this.#tick(epoch, window.start)
    const to = this.#tick(epoch, window.end)
    const [first, ...rest] = groups.slice(this.#groupFor(epoch, from)) as [Group, ...Group[]]
    const units = [...first, ...rest.flat()]
    const end = isLast ? units.length : units.findIndex(({ dts }) => dts >= to + epoch.late) + 1
    const taken = units.slice(0, end > 0 ? end : units.length)
    const leading = first.filter(({ pts }) => pts < first[0].pts)
    const shown = [...leading, first[0]].map(({ pts }) => pts).sort((a, b) => a - b)
    return {
      ...streamTimes(window),
      filledAt,
      video: track.assemble(taken),
      keyframe: first[0],
      pictures: taken.length,
      leading: leading.length,
      discontinuity: index === 0 && epoch.seconds > 0,
      within(hidden) {
        const zero = shown[Math.max(0, Math.min(hidden, leading.length))] as number
        // Half a tick early, so that rounding cannot move it past the tick.
        const start = Math.max(0, from - zero - 0.5) / track.timescale
        const stop = Math.max((to - zero - 0.5) / track.timescale, start + 1e-4 / track.timescale)
        return {
          range: isLast ? { start } : { start, end: stop },
          shift: epoch.seconds + (zero - origin) / track.timescale,
        }
      },
    }
  }

  /** The group from which all pictures at this tick and later can be decoded. */
  #groupFor({ groups }: Epoch, tick: number, first = 0): number {
    const { needsPictureBefore } = this.#options
    for (let index = groups.length - 1; index >= first; index--) {
      const [{ pts }] = groups[index] as Group
      if (needsPictureBefore ? pts < tick : pts <= tick) return index
    }
    return 0
  }

  /** Forgets what no window needs any more. */
  #prune(): void {
    const current = this.#current
    const oldest = this.#waiting[0]?.epoch ?? current
    while (this.#epochs.length > 0 && this.#epochs[0] !== oldest)
      this.#forget(this.#epochs.shift()?.groups ?? [])
    if (!oldest) return
    const index = this.#waiting[0]?.index ?? oldest.next
    const tick = this.#tick(oldest, this.#startOf(index))
    // Only groups that came since the last search, unless another window is the oldest now: a window may have many groups.
    const { searched } = oldest
    const keep = this.#groupFor(oldest, tick, searched.tick === tick ? searched.groups : 0)
    if (keep > 0) this.#forget(oldest.groups.splice(0, keep))
    oldest.searched = { tick, groups: oldest.groups.length }
  }

  #forget(groups: readonly Group[]): void {
    for (const { bytes } of groups.flat()) this.#bytes -= bytes.byteLength
  }
}

function newEpoch({ track, pts, dts }: Unit, seconds: number): Epoch {
  return {
    track,
    origin: pts,
    seconds,
    groups: [],
    next: 0,
    lastDts: dts,
    late: Math.max(0, dts - pts),
    last: pts,
    lastButOne: pts,
    searched: { tick: pts, groups: 0 },
  }
}

function continues({ track, lastDts }: Epoch, unit: Unit): boolean {
  const step = (unit.dts - lastDts) / track.timescale
  return unit.track === track && step <= MAX_GAP_SECONDS && step >= -MAX_STEP_BACK_SECONDS
}

function streamTimes({ epoch, start, end }: Waiting): { start: number; end: number } {
  return { start: epoch.seconds + start, end: epoch.seconds + end }
}
