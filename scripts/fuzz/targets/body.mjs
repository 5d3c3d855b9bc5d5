// The JSON bodies of HTTP requests.

import { CosmosEmbedError } from '../../../dist/errors.js'
import { HttpError } from '../../../dist/http/errors.js'
import { parseBody } from '../../../dist/http/parse-body.js'
import { checkLimits } from '../../../dist/source/limits.js'

const model = 'cosmos-embed-demo'
const video = 'data:video/mp4;base64,AAAAIGZ0eXBpc29t'
const rules = {
  models: [model],
  frames: 4,
  limits: checkLimits({
    maxItems: 8,
    maxTextCharacters: 400,
    maxInlineBytes: 300,
    maxUrlCharacters: 200,
  }),
  openAi: { embeddingDim: 256 },
}

export const seeds = [
  { request_type: 'query', input: 'a red circle', model },
  { request_type: 'query', input: ['one', 'two'], model, encoding_format: 'base64' },
  { request_type: 'bulk_text', input: ['one', 'two', 'three'], model },
  { request_type: 'bulk_video', input: ['data:video/mp4;presigned_url,https://a.example/b.mp4'], model },
  { request_type: 'query', input: video, model },
  {
    request_type: 'bulk_video',
    input: ['data:video_frames/jpg;base64,{/9j/4AAQ,/9j/4AAQ,AAAA,AAAA}'],
    model,
  },
  { input: ['one', video], model, user: 'a', dimensions: 256, encoding_format: null },
  { input: video, model, window_seconds: 8, stride_seconds: 4, start: 1.5, end: 20, frame_rule: 'card' },
].map((body) => JSON.stringify(body))

const codes = ['invalid_request', 'limit', 'request_too_large']
export const allowed = (error) =>
  (error instanceof CosmosEmbedError && codes.includes(error.code)) ||
  (error instanceof HttpError && error.code === 'invalid_json')

/** What is told to the client must not repeat the whole body. */
export const longestMessage = 2000

export async function run(bytes) {
  const kind = bytes.includes('window_seconds') ? 'segments' : 'embeddings'
  const half = bytes.length >> 1
  const parsed = await parseBody(kind, [bytes.subarray(0, half), bytes.subarray(half)], rules)
  const items = 'item' in parsed ? [parsed.item] : parsed.items
  if (items.length === 0 || items.length > rules.limits.maxItems) throw new Error('another number of items')
}
