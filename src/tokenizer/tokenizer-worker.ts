/** The worker thread of {@link AsyncTokenizer}. */
import { parentPort, workerData } from 'node:worker_threads'
import { CosmosEmbedError, InternalError } from '../errors.ts'
import type { TokenizerReply } from './async-tokenizer.ts'
import { makeTextTokenizer } from './tokenizer.ts'
import { parseTokenizerFile, type TokenizerFile } from './tokenizer-file.ts'

const tokenizer = makeTextTokenizer(parseTokenizerFile(workerData as TokenizerFile))

parentPort?.on('message', (text: string) => parentPort?.postMessage(tokenize(text)))

function tokenize(text: string): TokenizerReply {
  try {
    return { tokens: tokenizer.encode(text) }
  } catch (error) {
    const { code, message } =
      error instanceof CosmosEmbedError ? error : new InternalError('unexpected error while making tokens')
    return { code, message }
  }
}
