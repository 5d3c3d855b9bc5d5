// The strings of a request: texts, data URIs, lists of pictures.

import { CosmosEmbedError } from '../../../dist/errors.js'
import { Base64Decoder } from '../../../dist/request/base64.js'
import { parseInputString } from '../../../dist/request/data-uri.js'

export const seeds = [
  'a red circle moves left',
  'data:video/mp4;base64,AAAAIGZ0eXBpc29tAAACAGlzb21pc28yYXZjMW1wNDE=',
  ' data:video/webm;codecs="vp9, opus";base64,GkXfowEAAAA\n',
  'data:video/mp4;presigned_url,https://bucket.example.com/a.mp4?X-Signature=a%20b,c',
  'data:video_frames/jpg;base64,{/9j/4AAQ,/9j/4AAQ,_-j_,AAAA}',
  'data:video_frames/png;presigned_url,{https://a.example/1.png,https://a.example/2.png, https://a/3,https://a/4}',
  'https://example.com/a.mp4',
  'clips/a.mp4',
]

export const allowed = (error) => error instanceof CosmosEmbedError && error.code === 'invalid_request'

export async function run(bytes) {
  const text = bytes.toString('utf8')
  const parsed = parseInputString(text, 4)
  if (parsed.form === 'text') return
  if (parsed.form === 'video_frames' && parsed.payloads.length !== 4)
    throw new Error('another number of frames')
  if (parsed.encoding !== 'base64') return
  const decoder = new Base64Decoder()
  for (const payload of parsed.payloads) {
    const decoded = await decoder.decode(payload, 'input')
    if (decoded.length > Math.ceil((payload.length * 3) / 4))
      throw new Error('more bytes than base64 can hold')
  }
}
