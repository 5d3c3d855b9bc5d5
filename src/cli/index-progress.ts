/** The progress display of `cosmos-embed index`. */
import type { IndexTally } from '../bulk/build.ts'
import type { Io } from './command.ts'

const LINE_EVERY_MS = 10_000
const BAR_EVERY_MS = 100

/** Shows the progress of an index run: a bar on a terminal, a line every ten seconds elsewhere. */
export class IndexProgress {
  readonly #out: Io['stderr']
  readonly #started = performance.now()
  readonly #timer: NodeJS.Timeout
  #tally: IndexTally | undefined

  constructor(out: Io['stderr']) {
    this.#out = out
    this.#timer = setInterval(() => this.#draw(), out.isTTY ? BAR_EVERY_MS : LINE_EVERY_MS)
    this.#timer.unref()
  }

  get tally(): IndexTally | undefined {
    return this.#tally
  }

  update(tally: IndexTally): void {
    this.#tally = tally
  }

  /** Stops updating and removes the bar. */
  end(): void {
    clearInterval(this.#timer)
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  /** The outcome of the run in one line. */
  summary(): string {
    if (!this.#tally) return 'nothing to do'
    const { embedded, rows, skipped, repeated, failed } = this.#tally
    return [
      `${embedded} embedded`,
      ...(rows === embedded ? [] : [`${rows} vectors`]),
      ...(skipped > 0 ? [`${skipped} already in the index`] : []),
      ...(repeated > 0 ? [`${repeated} repeated`] : []),
      `${failed} failed`,
      this.#speed(this.#tally),
    ].join(', ')
  }

  #draw(): void {
    if (!this.#tally) return
    const { total, failed } = this.#tally
    const done = doneOf(this.#tally)
    const facts = [
      `${done}/${total}`,
      this.#speed(this.#tally),
      ...(failed > 0 ? [`${failed} failed`] : []),
      ...this.#left(this.#tally),
    ].join(', ')
    if (!this.#out.isTTY) {
      this.#out.write(`${facts}\n`)
      return
    }
    const width = 24
    const filled = Math.min(width, Math.round((done / Math.max(1, total)) * width))
    const line = `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${facts}`
    this.#out.write(`\r\u001b[K${line.slice(0, (this.#out.columns ?? 80) - 1)}`)
  }

  #speed({ embedded, failed, bytes }: IndexTally): string {
    const seconds = (performance.now() - this.#started) / 1000
    return `${((embedded + failed) / seconds).toFixed(1)}/s, ${(bytes / 2 ** 20).toFixed(1)} MiB read`
  }

  /** Estimates the remaining time from the pace so far. Items that are already in the index take none. */
  #left(tally: IndexTally): string[] {
    const worked = tally.embedded + tally.failed
    const left = tally.total - doneOf(tally) - tally.unmet
    if (worked === 0 || left <= 0) return []
    const seconds = ((performance.now() - this.#started) / 1000 / worked) * left
    if (seconds < 90) return [`about ${Math.ceil(seconds)} s left`]
    return [
      seconds < 5400
        ? `about ${Math.round(seconds / 60)} min left`
        : `about ${Math.round(seconds / 3600)} h left`,
    ]
  }
}

function doneOf({ embedded, skipped, repeated, failed }: IndexTally): number {
  return embedded + skipped + repeated + failed
}
