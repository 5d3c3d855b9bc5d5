/** What clients send that were written for something else: another server, another API. */
import { createServer } from 'cosmos-embed/http'
import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { doubleEmbedder } from './embedder-double.ts'
import { post, rawExchange, request, serveDouble } from './support.ts'

const query = { request_type: 'query', input: 'a red circle', model: 'double' }
const video = 'data:video/mp4;presigned_url,https://a.example/b.mp4'
const errorOf = ({ status, body }: { status: number; body: unknown }) => {
  const { error } = body as { error: { message: string; param: string | null; code: string } }
  return { status, ...error }
}

describe('a body without a content-type', () => {
  const bytes = (body: unknown, headers: object = {}) => {
    const text = JSON.stringify(body)
    const lines = Object.entries({
      host: 'localhost',
      'content-length': text.length,
      connection: 'close',
      ...headers,
    })
    return `POST /v1/embeddings HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}`
  }

  it('is parsed as JSON', async () => {
    const { url, double } = await serveDouble()
    expect(await rawExchange(url, bytes(query))).toMatch(/^HTTP\/1.1 200 /)
    expect(double.requests).toHaveLength(1)
  })

  it('is refused from a browser, which sends it for any page without a preflight request', async () => {
    const { url, double } = await serveDouble({ allowedHosts: ['*'] })
    for (const origin of ['https://elsewhere.example', 'null']) {
      expect(await rawExchange(url, bytes(query, { origin }))).toMatch(/^HTTP\/1.1 415 /)
    }
    expect(double.requests).toEqual([])
  })

  it.each(['application/json', 'Application/JSON; charset=utf-8', 'application/vnd.api+json'])(
    'is accepted like one of %s',
    async (type) => {
      const { url } = await serveDouble()
      expect((await post(url, query, { headers: { 'content-type': type } })).status).toBe(200)
    },
  )
})

describe('an invalid body', () => {
  it.each([
    ['null', null, null, 'must be an object: {"request_type"'],
    ['a number', 5, null, 'must be an object: {"request_type"'],
    ['an empty list', [], null, 'must be an object: {"request_type"'],
    [
      'an input of null',
      { ...query, input: null },
      'input',
      'must be a string or a list of strings, found null',
    ],
    ['an input of nothing', { ...query, input: [] }, 'input', 'must not be empty'],
    ['an input that is a number', { ...query, input: 5 }, 'input', 'must be a string or a list of strings'],
    ['an input that is an object', { ...query, input: {} }, 'input', 'must be a string or a list of strings'],
    ['token ids', { ...query, input: [1, 2] }, 'input[0]', 'must be a string, not token ids'],
    ['lists of token ids', { ...query, input: [[1, 2]] }, 'input[0]', 'must be a string, not token ids'],
    ['an empty text', { ...query, input: '' }, 'input', 'must not be empty'],
    ['too many inputs', { ...query, input: Array(65).fill('a') }, 'input', 'supports maximum 64'],
    ['no model', { ...query, model: undefined }, 'model', 'is required'],
    ['a model that is a number', { ...query, model: 5 }, 'model', 'must be a string'],
    ['another model', { ...query, model: 'gpt' }, 'model', 'use "double"'],
    ['no request_type', { ...query, request_type: undefined }, 'request_type', 'is required'],
    [
      'a request_type of null',
      { ...query, request_type: null },
      'request_type',
      '"query", "bulk_text" or "bulk_video"',
    ],
    [
      'another request_type',
      { ...query, request_type: 'bulk' },
      'request_type',
      '"query", "bulk_text" or "bulk_video"',
    ],
    ['another format', { ...query, encoding_format: 'int8' }, 'encoding_format', '"float" or "base64"'],
    ['a format of null', { ...query, encoding_format: null }, 'encoding_format', '"float" or "base64"'],
    ['a field of OpenAI', { ...query, dimensions: 8 }, 'dimensions', 'unknown field "dimensions"'],
    ['a field of its own', { ...query, ['x'.repeat(99)]: 1 }, `${'x'.repeat(60)}…`, 'unknown field'],
  ])('(%s) gets the field and what is expected', async (_, body, param, message) => {
    const { url } = await serveDouble()
    const answer = errorOf(await post(url, body))
    expect(answer).toMatchObject({ status: 422, code: 'invalid_request', param })
    expect(answer.message).toContain(message)
  })
})

describe('clients of OpenAI’s API', () => {
  const open = (embeddingDim = 8) => serveDouble({ inferRequestType: true }, { dimension: embeddingDim })

  it.each([
    ['a text', 'a red circle', 'query'],
    ['a list of one text', ['a red circle'], 'query'],
    ['texts', ['a red circle', 'data: the new oil'], 'bulk_text'],
    ['a video', video, 'query'],
    ['an inline video', 'data:video/mp4;base64,AAAA', 'query'],
    ['videos', [` ${video}`, video.toUpperCase()], 'bulk_video'],
  ])('may send %s without request_type', async (_, input, type) => {
    const { url, double } = await open()
    const answer = await post(url, { input, model: 'double' })
    expect(answer.status).toBe(200)
    expect(double.requests[0]?.request_type).toBe(type)
    const { body } = await request(`${url}/v1/metrics`)
    expect(body).toContain(`cosmos_embed_requests_total{request_type="${type}",status="200"} 1\n`)
  })

  it('may send the fields of OpenAI, with or without a request_type', async () => {
    const { url, double } = await open()
    const body = { input: ['a', 'b'], model: 'double', user: 'me', dimensions: 8, encoding_format: null }
    expect((await post(url, body)).status).toBe(200)
    const nulls = { user: null, dimensions: null, request_type: null, encoding_format: 'base64' }
    expect((await post(url, { ...body, ...nulls })).status).toBe(200)
    expect((await post(url, { ...body, request_type: 'query' })).status).toBe(200)
    expect(
      double.requests.map(({ request_type, encoding_format }) => [request_type, encoding_format]),
    ).toEqual([
      ['bulk_text', 'float'],
      ['bulk_text', 'base64'],
      ['query', 'float'],
    ])
  })

  it.each([
    ['dimensions', { dimensions: 256 }, 'vectors of this model have 8'],
    ['user', { user: 5 }, 'must be a string'],
    ['input[1]', { input: ['a', video] }, 'bulk_text input must contain text only'],
    ['truncate', { truncate: 'END' }, 'unknown field'],
  ])('are refused what cannot be honoured: %s', async (param, more, message) => {
    const { url, double } = await open()
    const answer = errorOf(await post(url, { input: 'a', model: 'double', ...more }))
    expect(answer).toMatchObject({ status: 422, param })
    expect(answer.message).toContain(message)
    expect(double.requests).toEqual([])
  })

  it('get what the openai client expects', async () => {
    const { url } = await open()
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 })
    const { data } = await client.embeddings.create({
      model: 'double',
      input: ['a', 'b'],
      dimensions: 8,
      user: 'me',
    })
    expect(data.map(({ embedding }) => embedding.length)).toEqual([8, 8])
    expect(await client.models.retrieve('double')).toMatchObject({ id: 'double', object: 'model' })
  })

  it('need request_type where the option is off', async () => {
    const { url } = await serveDouble()
    expect(errorOf(await post(url, { input: 'a', model: 'double' }))).toMatchObject({ param: 'request_type' })
  })
})

describe('the names of the model', () => {
  const servedNames = ['nvidia/cosmos-embed1', 'double']

  it('can each be looked up, with the slash encoded or not', async () => {
    const { url } = await serveDouble({}, { servedNames })
    const { data } = (await request(`${url}/v1/models`)).body as { data: { id: string; owned_by: string }[] }
    expect(data.map(({ id, owned_by }) => [id, owned_by])).toEqual([
      ['nvidia/cosmos-embed1', 'nvidia'],
      ['double', 'cosmos-embed'],
    ])
    expect((await request(`${url}/v1/models/nvidia/cosmos-embed1`)).body).toEqual(data[0])
    expect((await request(`${url}/v1/models/nvidia%2Fcosmos-embed1`)).body).toEqual(data[0])
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 })
    expect(await client.models.retrieve('nvidia/cosmos-embed1')).toMatchObject({ owned_by: 'nvidia' })
    const missing = errorOf(await request(`${url}/v1/models/gpt`))
    expect(missing).toMatchObject({ status: 404, code: 'not_found' })
    expect(missing.message).toContain('"gpt"')
    expect((await request(`${url}/v1/models/double`, { method: 'DELETE' })).status).toBe(405)
  })

  it('are reported by readiness, with the length of vectors', async () => {
    const { url } = await serveDouble({}, { servedNames })
    expect((await request(`${url}/v1/health/ready`)).body).toMatchObject({
      model: 'nvidia/cosmos-embed1',
      embedding_dim: 8,
    })
  })
})

describe('a client with Expect: 100-continue', () => {
  const head = (path: string, headers: object) => {
    const lines = Object.entries({
      host: 'localhost',
      'content-type': 'application/json',
      expect: '100-continue',
      ...headers,
    })
    return `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  }

  it.each([
    ['a length over the limit', '/v1/embeddings', { 'content-length': 2000 }, 413],
    ['another type', '/v1/embeddings', { 'content-length': 10, 'content-type': 'text/plain' }, 415],
    ['a compressed body', '/v1/segments', { 'content-length': 10, 'content-encoding': 'gzip' }, 415],
    ['no key', '/v1/embeddings', { 'content-length': 10, authorization: '' }, 401],
    ['a path that is not there', '/v1/nothing', { 'content-length': 10 }, 404],
    ['a method that is not allowed', '/v1/models', { 'content-length': 10 }, 405],
  ])('is refused at once for %s, without 100 Continue', async (_, path, headers, status) => {
    const { url } = await serveDouble({ limits: { maxBodyBytes: 1000 }, apiKeys: ['k'] })
    const answer = await rawExchange(url, head(path, { authorization: 'Bearer k', ...headers }))
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(answer).toMatch(/^connection: close\r$/im)
    expect(answer).not.toContain('100 Continue')
  })

  it('gets 100 Continue otherwise, also on routes of the host', async () => {
    const server = await createServer({ embedder: doubleEmbedder() })
    onTestFinished(() => server.close())
    server.app.register(async (app) => {
      app.addContentTypeParser('application/json', { parseAs: 'string' }, (_, body, done) => done(null, body))
      app.post('/echo', async ({ body }) => body)
    })
    const url = await server.listen({ port: 0 })
    await server.ready
    const text = JSON.stringify(query)
    const length = { 'content-length': text.length }
    expect(await rawExchange(url, head('/v1/embeddings', length), '\r\n\r\n')).toBe(
      'HTTP/1.1 100 Continue\r\n\r\n',
    )
    const whole = await rawExchange(url, head('/v1/embeddings', { ...length, connection: 'close' }) + text)
    expect(whole).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /)
    const echo = await rawExchange(url, head('/echo', { ...length, connection: 'close' }) + text)
    expect(echo).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 /)
    expect(echo).toContain(text)
  })
})
