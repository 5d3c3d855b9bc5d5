import type { Io } from './command.ts'

/** A one-line progress bar on a terminal; nothing at all elsewhere. */
export class Progress {
  readonly #out: Io['stderr']
  readonly #label: string
  readonly #total: number
  #done = 0

  constructor(out: Io['stderr'], label: string, total: number) {
    this.#out = out
    this.#label = label
    this.#total = total
    this.#draw('')
  }

  /** One more is done; `note` says which. */
  tick(note: string): void {
    this.#done += 1
    this.#draw(note)
  }

  /** Clears the line. */
  end(): void {
    if (this.#out.isTTY) this.#out.write('\r\u001b[K')
  }

  #draw(note: string): void {
    if (!this.#out.isTTY || this.#total === 0) return
    const width = 24
    const filled = Math.round((this.#done / this.#total) * width)
    const bar = '█'.repeat(filled) + '░'.repeat(width - filled)
    const line = `${this.#label} ${bar} ${this.#done}/${this.#total} ${note}`
    this.#out.write(`\r\u001b[K${line.slice(0, (this.#out.columns ?? 80) - 1)}`)
  }
}
