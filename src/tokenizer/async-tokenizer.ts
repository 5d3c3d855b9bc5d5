/** Tokenises texts without stalling the event loop: short ones on the main thread in turns, long ones in a worker thread. */
import { existsSync } from 'node:fs'
import { loopShare } from '../base/loop-share.ts'
import { type ErrorCode, errorTable } from '../errors.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import { Thread } from '../schedule/worker-thread.ts'
import type { TextTokenizer, TokenizedText } from './tokenizer.ts'

/** A reply of the worker thread. Errors are sent as code and message, because error classes cannot be cloned. */
export type TokenizerReply = { tokens: TokenizedText } | { code: ErrorCode; message: string }

export class AsyncTokenizer {
  readonly #tokenizer: TextTokenizer
  readonly #thread: Thread<string, TokenizerReply> | undefined

  constructor(tokenizer: TextTokenizer) {
    this.#tokenizer = tokenizer
    const file = new URL('./tokenizer-worker.js', import.meta.url)
    // Without a worker, because a bundler left out its file or the permission model forbids threads, long texts are
    // tokenised on the main thread as well.
    const allowed = process.permission?.has('worker') ?? true
    if (!allowed || file.protocol !== 'file:' || !existsSync(file)) return
    this.#thread = new Thread({
      file,
      purpose: 'makes the tokens of long texts',
      data: tokenizer.file,
      endsOnAbort: false,
    })
  }

  /** Rejects with the errors of `TextTokenizer.encode`, or with `signal.reason`. */
  async encode(text: string, signal: AbortSignal, priority: Priority): Promise<TokenizedText> {
    const thread = this.#thread
    const tokens = await loopShare.run(() => {
      signal.throwIfAborted()
      return thread ? this.#tokenizer.encodeShort(text) : this.#tokenizer.encode(text)
    })
    if (tokens || !thread) return tokens as TokenizedText
    const answer = await thread.run(text, { signal, priority })
    if ('tokens' in answer) return answer.tokens
    throw new errorTable[answer.code].class(answer.message)
  }

  async close(): Promise<void> {
    await this.#thread?.close()
  }
}
