/** The progress display of `cosmos-embed search`. */
import type { Io } from './command.ts'

/** Minimum time between two lines without a terminal. */
const LINE_EVERY_MS = 10_000

/** Shows the progress of a command and the estimated time left: a bar on a terminal, occasional lines elsewhere. */
export class Progress {
  readonly #out: Io['stderr']
  readonly #label: string
  readonly #total: number
  readonly #started = performance.now()
  #lastLine = this.#started
  #done = 0

  constructor(out: Io['stderr'], label: string, total: number) {
    this.#out = out
    this.#label = label
    this.#total = total
    this.#draw('')
  }

  /** Counts one more item as done; `note` names it. */
  tick(note: string): void {
    this.#done += 1
    this.#draw(note)
  }

  /** Clears the line. */
  end(): void {
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  #draw(note: string): void {
    if (this.#total === 0) return
    if (this.#out.isTTY) this.#drawBar(note)
    else this.#writeLine()
  }

  #drawBar(note: string): void {
    const width = 24
    const filled = Math.round((this.#done / this.#total) * width)
    const bar = '█'.repeat(filled) + '░'.repeat(width - filled)
    const line = `${this.#label} ${bar} ${this.#done}/${this.#total}${this.#left()} ${note}`
    this.#out.write(`\r\u001b[K${line.slice(0, (this.#out.columns ?? 80) - 1)}`)
  }

  #writeLine(): void {
    const now = performance.now()
    if (now - this.#lastLine < LINE_EVERY_MS) return
    this.#lastLine = now
    this.#out.write(`${this.#label} ${this.#done}/${this.#total}${this.#left()}\n`)
  }

  /** Estimates the remaining time from the pace so far; empty before the first item. */
  #left(): string {
    if (this.#done === 0 || this.#done >= this.#total) return ''
    const seconds = ((performance.now() - this.#started) / 1000 / this.#done) * (this.#total - this.#done)
    if (seconds < 90) return `, about ${Math.ceil(seconds)} s left`
    return seconds < 5400
      ? `, about ${Math.round(seconds / 60)} min left`
      : `, about ${Math.round(seconds / 3600)} h left`
  }
}
