/** The documented interface, over a socket, with the demo model, real videos and presigned URLs. */
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { createEmbedder, type Embedder } from 'cosmos-embed'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generate, Oracle, randomFrom } from './openapi-support.ts'
import {
  makeFrames,
  makeVideo,
  type ServeProcess,
  type Storage,
  serve,
  serveStorage,
  temporaryFolder,
} from './serve-support.ts'
import { eventually, post, request } from './support.ts'

const model = 'nvidia/cosmos-embed1'
const { folder, remove } = temporaryFolder()
const file = (name: string) => path.join(folder, name)

let storage: Storage
let served: ServeProcess
let embedder: Embedder
let frames: Buffer[]
/** Downloads that never end, and whether their connection was closed. */
const stalled: { closed: boolean }[] = []

beforeAll(async () => {
  makeVideo(file('a.mp4'), 'libx264')
  makeVideo(file('b.webm'), 'libvpx-vp9', 'mandelbrot=size=128x96:rate=8:end_scale=0.3,trim=duration=2')
  frames = makeFrames(file('a.mp4'), folder)
  storage = await serveStorage(folder, answerDownload)
  served = await serve([
    ...['--served-model-name', model, '--url-host', 'localhost', '--url-private', storage.origin],
    ...['--url-ca', storage.ca, '--max-items-in-flight', '64', '--log-level', 'trace'],
  ])
  embedder = await createEmbedder()
})

afterAll(async () => {
  await served?.stop()
  await storage?.close()
  await embedder?.dispose()
  remove()
})

function answerDownload({ url = '' }: IncomingMessage, response: ServerResponse): void {
  const [name = '', query = ''] = url.slice(1).split('?')
  if (query !== 'signature=s3cret,x') response.writeHead(403).end('wrong signature')
  else if (name === 'broken') response.writeHead(503).end()
  else if (name === 'text') response.end('this is no video')
  else if (name === 'stalled') {
    const download = { closed: false }
    stalled.push(download)
    response.write('x')
    response.on('close', () => {
      download.closed = true
    })
  } else response.end(readFileSync(file(name)))
}

const presigned = (name: string) => `${storage.origin}/${name}?signature=s3cret,x`
const remote = (name: string) => `data:video/mp4;presigned_url,${presigned(name)}`
const inline = (name: string) => `data:video/mp4;base64,${readFileSync(file(name)).toString('base64')}`
const inlineFrames = () => {
  return `data:video_frames/jpg;base64,{${frames.map((frame) => frame.toString('base64')).join(',')}}`
}
const remoteFrames = () => {
  const urls = frames.map((_, at) => presigned(`frame-${at + 1}.jpg`))
  return `data:video_frames/jpg;presigned_url,{${urls.join(',')}}`
}

interface Embeddings {
  data: { index: number; embedding: number[] }[]
  usage: { num_videos: number; prompt_tokens: number; total_tokens: number }
}

async function embed(request_type: string, input: string | string[], more: object = {}): Promise<Embeddings> {
  const { status, body } = await post(served.url, { request_type, input, model, ...more })
  expect(body).toMatchObject({ object: 'list', model })
  expect(status).toBe(200)
  return body as Embeddings
}

/** Vectors of batches of different sizes may differ in the last bits. */
function expectVector(actual: ArrayLike<number> | undefined, expected: ArrayLike<number>): void {
  expect(actual?.length).toBe(expected.length)
  Array.from(expected).forEach((value, at) => {
    expect(actual?.[at]).toBeCloseTo(value, 4)
  })
}

describe('a string that looks like media', () => {
  it.each([
    'data:;base64,AAAA',
    '\tdata:image/png;base64,AAAA',
    'DATA:,a',
    'https://storage.example/a.mp4?X-Amz-Signature=1',
    's3://bucket/clips/a.webm',
  ])('%j is refused in every request type', async (input) => {
    for (const request_type of ['query', 'bulk_text', 'bulk_video']) {
      const { status, body } = await post(served.url, { request_type, input: [input], model })
      expect({ status, body }).toMatchObject({
        status: 422,
        body: { error: { code: 'invalid_request', param: 'input[0]' } },
      })
      expect(JSON.stringify(body)).not.toContain('Signature')
    }
  })

  it('a file name or a page URL is embedded as text, with a warning', async () => {
    const input = ['a red circle', 'clips/a.mp4', 'https://storage.example/watch?v=1', 'see clips/a.mp4']
    const answer = await post(served.url, { request_type: 'bulk_text', input, model })
    expect(answer.status).toBe(200)
    const warnings = JSON.parse(answer.headers.get('x-cosmos-embed-warnings') ?? '[]') as { index: number }[]
    expect(warnings).toMatchObject([
      { index: 1, code: 'text_looks_like_media' },
      { index: 2, code: 'text_looks_like_media' },
    ])
  })
})

describe('every documented form', () => {
  it('text: query, a list in query, bulk_text', async () => {
    const texts = ['a red circle moving left', 'two squares']
    const expected = await Promise.all(texts.map((text) => embedder.embedText(text)))
    const tokens = expected.reduce((sum, text) => sum + text.tokens, 0)
    for (const answer of [await embed('query', texts), await embed('bulk_text', texts)]) {
      expected.forEach(({ embedding }, at) => {
        expectVector(answer.data[at]?.embedding, embedding)
      })
      expect(answer.usage).toEqual({ num_videos: 0, prompt_tokens: tokens, total_tokens: tokens })
    }
    const [first] = (await embed('query', texts[0] as string)).data
    expectVector(first?.embedding, expected[0]?.embedding as Float32Array)
  })

  it('videos: inline and presigned, alone and in bulk', async () => {
    const a = (await embedder.embedVideo(file('a.mp4'))).embedding
    const b = (await embedder.embedVideo(file('b.webm'))).embedding
    expectVector((await embed('query', inline('a.mp4'))).data[0]?.embedding, a)
    expectVector((await embed('query', [remote('b.webm')])).data[0]?.embedding, b)
    const bulk = await embed('bulk_video', [remote('b.webm'), remote('a.mp4'), remote('b.webm')])
    expect(bulk.data.map(({ index }) => index)).toEqual([0, 1, 2])
    for (const [at, expected] of [b, a, b].entries()) expectVector(bulk.data[at]?.embedding, expected)
    expect(bulk.usage).toEqual({ num_videos: 3, prompt_tokens: 0, total_tokens: 0 })
  })

  it('frames: inline and presigned, alone and in bulk', async () => {
    const { embedding } = await embedder.embedVideo({ frames })
    expectVector((await embed('query', inlineFrames())).data[0]?.embedding, embedding)
    expectVector((await embed('query', remoteFrames())).data[0]?.embedding, embedding)
    for (const form of [inlineFrames(), remoteFrames()]) {
      const { data } = await embed('bulk_video', [form, form])
      for (const each of data) expectVector(each.embedding, embedding)
    }
  })

  it('data URIs as browsers and clients write them', async () => {
    const { embedding } = await embedder.embedVideo(file('b.webm'))
    const base64 = readFileSync(file('b.webm')).toString('base64')
    const lines = base64.replace(/.{76}/g, '$&\r\n')
    const urlSafe = base64.replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
    for (const form of [
      `data:video/webm;codecs=vp9,opus;base64,${base64}`,
      `DATA:Video/WebM; charset=utf-8 ;Base64,${lines}`,
      ` \n data:video/webm;base64,${urlSafe} `,
    ]) {
      expectVector((await embed('query', form)).data[0]?.embedding, embedding)
    }
    const still = (await embedder.embedVideo({ frames })).embedding
    for (const form of [inlineFrames().replace(/[{}]/g, ''), inlineFrames().replace(/,(?!\{)/g, ' ,\n ')]) {
      expectVector((await embed('query', form)).data[0]?.embedding, still)
    }
    const broken = `data:video/webm;base64,${base64.slice(0, 400)}%${base64.slice(400)}`
    expect((await post(served.url, { request_type: 'query', input: broken, model })).body).toMatchObject({
      error: { param: 'input[0]', message: expect.stringContaining('character "%" at offset 400') },
    })
  })

  it('base64 encodes the same vector', async () => {
    const float = await embed('query', inline('a.mp4'))
    const text = (await embed('query', inline('a.mp4'), { encoding_format: 'base64' })) as unknown as {
      data: { embedding: string }[]
    }
    const bytes = Buffer.from(text.data[0]?.embedding ?? '', 'base64')
    expect(bytes).toHaveLength(1024)
    const values = Array.from({ length: 256 }, (_, at) => bytes.readFloatLE(4 * at))
    expectVector(values, float.data[0]?.embedding as number[])
    expect(Math.hypot(...values)).toBeCloseTo(1, 5)
  })

  it('a body that is parsed in a worker thread', async () => {
    const padded = Buffer.concat([readFileSync(file('a.mp4')), Buffer.alloc(2 * 1024 * 1024)])
    const input = `data:video/mp4;base64,${padded.toString('base64')}`
    expectVector(
      (await embed('query', input)).data[0]?.embedding,
      (await embedder.embedVideo(padded)).embedding,
    )
  })

  it('text finds video', async () => {
    const clips = ['red-circle.mp4', 'blue-circle.webm', 'green-triangle.mp4']
    const vectors = await Promise.all(
      clips.map(async (name) => {
        const bytes = readFileSync(fileURLToPath(new URL(`../../examples/clips/${name}`, import.meta.url)))
        const answer = await embed('query', `data:video/webm;base64,${bytes.toString('base64')}`)
        return answer.data[0]?.embedding as number[]
      }),
    )
    const { data } = await embed('bulk_text', ['a red circle', 'a blue circle', 'a green triangle'])
    data.forEach(({ embedding }, text) => {
      const scores = vectors.map((vector) =>
        vector.reduce((sum, value, at) => sum + value * (embedding[at] ?? 0), 0),
      )
      expect(scores.indexOf(Math.max(...scores))).toBe(text)
    })
  })

  it('the openai client, which asks for base64', async () => {
    const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: 'unused' })
    const body = { model, input: [remote('a.mp4')], request_type: 'bulk_video' }
    const { data } = await client.embeddings.create(body as unknown as OpenAI.EmbeddingCreateParams)
    expectVector(data[0]?.embedding, (await embedder.embedVideo(file('a.mp4'))).embedding)
  })
})

describe('what is refused', () => {
  it.each([
    ['a URL that is forbidden upstream', () => `${remote('a.mp4')}wrong`, 502, 'download_rejected', 'false'],
    ['a URL whose host fails', () => remote('broken'), 502, 'download_failed', 'true'],
    [
      'a host that is not listed',
      () => 'data:video/mp4;presigned_url,https://a.example/b',
      422,
      'blocked_url',
      'false',
    ],
    [
      'a private address',
      () => 'data:video/mp4;presigned_url,https://10.0.0.1/b',
      422,
      'blocked_url',
      'false',
    ],
    ['plain http', () => 'data:video/mp4;presigned_url,http://localhost/b', 422, 'blocked_url', 'false'],
    ['what is no video', () => remote('text'), 422, 'media', 'false'],
  ])('%s fails the whole request, whose error names the input', async (_, bad, status, code, retry) => {
    const input = [remote('a.mp4'), bad(), remote('b.webm')]
    const answer = await post(served.url, { request_type: 'bulk_video', input, model })
    expect(answer.body).toMatchObject({ error: { code, param: 'input[1]', status_code: status } })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('x-should-retry')).toBe(retry)
    expect(JSON.stringify(answer.body)).not.toMatch(/s3cret|wrong signature|127\.0\.0\.1/)
  })

  it('one bad picture among eight', async () => {
    const pictures = frames.map((frame) => frame.toString('base64'))
    pictures[3] = Buffer.from('no picture').toString('base64')
    const input = `data:video_frames/jpg;base64,{${pictures.join(',')}}`
    const { status, body } = await post(served.url, { request_type: 'query', input, model })
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: { code: 'media' } })
  })

  it('no generated body gets a 5xx, and the OpenAPI document describes every response', async () => {
    const oracle = await Oracle.of(served.url)
    const schema =
      oracle.document.paths['/v1/embeddings']?.post?.requestBody?.content['application/json'].schema
    const random = randomFrom(4)
    for (let round = 0; round < 60; round += 1) {
      const body = generate(schema as Record<string, unknown>, random)
      const answer = await post(served.url, JSON.stringify(body))
      expect(answer.status, `round ${round}: ${JSON.stringify(body)?.slice(0, 300)}`).toBeLessThan(500)
      oracle.judge('POST', '/v1/embeddings', answer)
    }
    for (const [path, methods] of Object.entries(oracle.document.paths)) {
      if (methods.get) oracle.judge('GET', path, await request(served.url + path))
    }
  })

  it('requests over the capacity, with 429 and no other status', async () => {
    const input = Array.from({ length: 40 }, (_, at) => `text number ${at}`)
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => post(served.url, { request_type: 'bulk_text', input, model })),
    )
    const statuses = answers.map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200, 429]))
    const refused = answers.filter(({ status }) => status === 429)
    for (const { headers, body } of refused) {
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect(body).toMatchObject({ error: { code: 'overloaded', type: 'overloaded' } })
    }
    expect((await post(served.url, { request_type: 'bulk_text', input, model })).status).toBe(200)
  })
})

describe('clients that disconnect', () => {
  it('cancel their downloads', async () => {
    const client = new AbortController()
    const body = { request_type: 'query', input: remote('stalled'), model }
    const answer = post(served.url, body, { signal: client.signal })
    await eventually(() => expect(stalled).toHaveLength(1))
    client.abort()
    await expect(answer).rejects.toThrow()
    await eventually(() => expect(stalled[0]?.closed).toBe(true))
    await eventually(async () => {
      const { body: metrics } = await request(`${served.url}/v1/metrics`)
      expect(metrics).toMatch(/^cosmos_embed_inflight_items 0$/m)
      expect(metrics).toMatch(/^cosmos_embed_cancelled_total 1$/m)
    })
  })
})

describe('the log', () => {
  it('has one line per response, without secrets or media', () => {
    const lines = served.stdout().trim().split('\n')
    const answered = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'answered')
    expect(answered.length).toBeGreaterThan(20)
    expect(answered[0]).toMatchObject({ method: expect.any(String), path: expect.stringMatching(/^\//) })
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(4000)
    expect(served.stdout()).not.toMatch(/s3cret|base64,|red circle/)
  })
})
