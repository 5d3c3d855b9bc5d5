/** The file of items that could not be embedded, one JSON object per line. */
import { type FileHandle, open } from 'node:fs/promises'
import type { CosmosEmbedError, ErrorCode } from '../errors.ts'
import { linesOf, withFileErrors } from './files.ts'

export interface Failure {
  /** The item's id, or the position of a row without one. */
  key: string
  code: ErrorCode
  message: string
  /** Whether the item may succeed in another run. */
  retryable: boolean
}

/** The failures of one run. Each run starts an empty file, because it retries everything that is not in the index. */
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

/** Reads the failures of the last run. */
export async function readFailures(file: string): Promise<Failure[]> {
  const failures: Failure[] = []
  for await (const { line } of linesOf(file)) {
    try {
      failures.push(JSON.parse(line) as Failure)
    } catch {
      // A crash may have truncated the last line.
    }
  }
  return failures
}
