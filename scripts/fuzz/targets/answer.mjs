// What the HTTP client reads: answers of servers that may be broken or hostile.

import { parseError, parseVectors, retryAfter } from '../../../dist/client/response.js'
import { CosmosEmbedError } from '../../../dist/errors.js'

const vector = (values) => Buffer.from(Float32Array.from(values).buffer).toString('base64')
const usage = { num_videos: 0, prompt_tokens: 4, total_tokens: 4 }

export const seeds = [
  {
    object: 'list',
    model: 'm',
    usage,
    data: [
      { object: 'embedding', index: 0, embedding: [0.6, 0.8] },
      { object: 'embedding', index: 1, embedding: [1, 0] },
    ],
  },
  {
    model: 'm',
    data: [
      { index: 1, embedding: vector([0.6, 0.8]) },
      { index: 0, embedding: vector([3, 4]) },
    ],
  },
  {
    error: { message: 'input[1] is bad', type: 'limit', code: 'limit', param: 'input[1]', status_code: 413 },
  },
  { detail: [{ loc: ['body', 'input'], msg: 'field required' }] },
  { object: 'error', message: 'not ready', status_code: 503 },
].map((value) => JSON.stringify(value))

export const allowed = (error) => error instanceof CosmosEmbedError && error.code !== 'internal'

export async function run(bytes) {
  const text = bytes.toString('utf8')
  const status = [200, 400, 413, 422, 429, 500, 503][bytes.length % 7]
  const headers = new Headers({ 'retry-after': `${bytes.length % 100}`, 'x-request-id': 'a' })
  retryAfter(headers)
  const error = parseError({ status, headers, text })
  if (!(error instanceof CosmosEmbedError)) throw new Error('an error of another class')
  const { vectors } = parseVectors({ status: 200, headers, text }, 2)
  for (const each of vectors) {
    if (Math.abs(Math.hypot(...each) - 1) > 2e-3) throw new Error('a vector of another length')
  }
}
