/** Writes the log of a server in blocks: one write per line takes longer than all of HTTP's own work for a text query. */

export interface LogLinesOptions {
  write: (text: string) => unknown
  /** Milliseconds that a line may wait for others. */
  delayMs: number
}

/** Pino's levels from `warn` on. Their lines are written at once, because they may be the last ones. */
const urgent = /"level":[456]0/

/** A destination for pino. `flush` writes what waits. */
export class LogLines {
  readonly #options: LogLinesOptions
  #waiting = ''
  #timer: NodeJS.Timeout | undefined

  constructor(options: LogLinesOptions) {
    this.#options = options
  }

  write(line: string): void {
    this.#waiting += line
    if (urgent.test(line.slice(0, 20))) this.flush()
    // Does not keep the process alive: the last lines are written when it exits.
    else this.#timer ??= setTimeout(() => this.flush(), this.#options.delayMs).unref()
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const text = this.#waiting
    this.#waiting = ''
    if (text !== '') this.#options.write(text)
  }
}
