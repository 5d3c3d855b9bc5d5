/** What could not be embedded, as lines of JSON. */
import { type FileHandle, open } from 'node:fs/promises'
import type { CosmosEmbedError, ErrorCode } from '../errors.ts'
import { linesOf, withFileErrors } from './files.ts'

export interface Failure {
  /** Of the item, or where its row is. */
  key: string
  code: ErrorCode
  message: string
  /** Whether it may succeed when the run is started again. */
  retryable: boolean
}

/** Of one run: begun anew with it, since whatever is not in the index is tried again. */
export class FailureFile {
  readonly #file: string
  readonly #handle: FileHandle

  private constructor(file: string, handle: FileHandle) {
    this.#file = file
    this.#handle = handle
  }

  static async open(file: string): Promise<FailureFile> {
    return withFileErrors(file, async () => new FailureFile(file, await open(file, 'w')))
  }

  async add(key: string, { code, message, retryable }: CosmosEmbedError): Promise<void> {
    const failure: Failure = { key, code, message, retryable }
    await withFileErrors(this.#file, () => this.#handle.appendFile(`${JSON.stringify(failure)}\n`))
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}

/** Of the last run. */
export async function readFailures(file: string): Promise<Failure[]> {
  const failures: Failure[] = []
  for await (const { line } of linesOf(file)) {
    try {
      failures.push(JSON.parse(line) as Failure)
    } catch {
      // A crash may have cut the last line.
    }
  }
  return failures
}
