/** `POST /page/clip`, under the limits of the API. */
import { readFileSync } from 'node:fs'
import { createEmbedder, type EmbedderOptions } from 'cosmos-embed'
import { createServer } from 'cosmos-embed/http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Answer, request } from './support.ts'

const video = readFileSync(new URL('../../examples/clips/red-circle.mp4', import.meta.url))

async function serve(options: EmbedderOptions = {}): Promise<string> {
  const embedder = await createEmbedder({ device: 'cpu', ...options })
  const server = await createServer({ embedder })
  onTestFinished(async () => {
    await server.close()
    await embedder.dispose()
  })
  const url = await server.listen({ port: 0 })
  await server.ready
  return url
}

const send = (url: string, body: Uint8Array<ArrayBuffer> = video): Promise<Answer> =>
  request(`${url}/page/clip`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body,
  })

describe('POST /page/clip', () => {
  it('answers with the pixels that the model sees', async () => {
    const url = await serve()
    const { status, headers } = await send(url)
    expect(status).toBe(200)
    const about = JSON.parse(headers.get('x-clip') ?? '{}')
    expect(about.frames).toHaveLength(8)
    expect(headers.get('content-length')).toBe(String(8 * 3 * about.size ** 2))
  })

  it.each([
    ['decode.limits', { decode: { limits: { maxPixels: 300 } } }, 422, 'limit'],
    ['limits.maxInlineBytes', { limits: { maxInlineBytes: 1000 } }, 413, 'request_too_large'],
    ['limits.maxBytesInFlight', { limits: { maxBytesInFlight: 6500 } }, 413, 'request_too_large'],
  ])('enforces %s', async (_, options, status, code) => {
    const answer = await send(await serve(options))
    expect(answer).toMatchObject({ status, body: { error: { code } } })
  })

  it('refuses what is not a video, and an empty body', async () => {
    const url = await serve()
    expect((await send(url, Buffer.from('no video'))).status).toBe(422)
    expect((await send(url, Buffer.alloc(0))).status).toBe(422)
  })

  it('has its decode limits in the metadata', async () => {
    const { body } = await request(`${await serve({ decode: { limits: { maxStreams: 3 } } })}/v1/metadata`)
    const decode = { maxPixels: 8192 * 4352, maxStreams: 3, maxWallSeconds: 300 }
    expect(body).toMatchObject({ limits: { decode } })
  })
})
