import { InternalError, ModelError, OverloadedError } from 'cosmos-embed'
import OpenAI, { APIUserAbortError, RateLimitError, UnprocessableEntityError } from 'openai'
import { describe, expect, it } from 'vitest'
import { unitVector } from './embedder-double.ts'
import { eventually, serveDouble } from './support.ts'

const vectorOf = (input: unknown, dimension = 8) => Array.from(unitVector(input, dimension))

/** `request_type` is an extra field to the client's types. */
function body(input: string | string[], more: object = {}): OpenAI.EmbeddingCreateParams {
  return {
    model: 'double',
    input,
    request_type: Array.isArray(input) ? 'bulk_text' : 'query',
    ...more,
  } as never
}

const clientOf = (url: string, options: object = {}) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0, ...options })

describe('the official openai client', () => {
  it('gets vectors by default, through base64', async () => {
    const { url, double } = await serveDouble({}, { dimension: 256 })
    const { data, usage, model } = await clientOf(url).embeddings.create(body(['a', 'b']))
    expect(double.requests[0]?.encoding_format).toBe('base64')
    expect(data.map(({ embedding }) => Array.from(embedding))).toEqual([
      vectorOf('a', 256),
      vectorOf('b', 256),
    ])
    expect(data.map(({ index }) => index)).toEqual([0, 1])
    expect(model).toBe('double')
    expect(usage).toEqual({ num_videos: 0, prompt_tokens: 2, total_tokens: 2 })
  })

  it('gets numbers for float, and a string for base64', async () => {
    const { url } = await serveDouble()
    const client = clientOf(url)
    const float = await client.embeddings.create(body('a', { encoding_format: 'float' }))
    expect(Float32Array.from(float.data[0]?.embedding ?? [])).toEqual(unitVector('a', 8))
    const base64 = await client.embeddings.create(body('a', { encoding_format: 'base64' }))
    const bytes = Buffer.from(unitVector('a', 8).buffer)
    expect(base64.data[0]?.embedding).toBe(bytes.toString('base64'))
  })

  it('finds every field of an error', async () => {
    const { url } = await serveDouble()
    const error: UnprocessableEntityError = await clientOf(url)
      .embeddings.create(body(['a', ' ']))
      .catch((caught) => caught)
    expect(error).toBeInstanceOf(UnprocessableEntityError)
    expect(error.message).toBe('422 text input must not be empty')
    expect(error).toMatchObject({
      status: 422,
      code: 'invalid_request',
      type: 'invalid_request_error',
      param: 'input[1]',
    })
    expect(error.requestID).toMatch(/^req_/)
  })

  it('is told which field the server does not know', async () => {
    const { url } = await serveDouble()
    const creating = clientOf(url).embeddings.create(body('a', { dimensions: 64 }))
    await expect(creating).rejects.toThrow('dimensions')
  })

  it('retries after an overload and succeeds', async () => {
    let calls = 0
    const before = () => {
      calls += 1
      if (calls < 3) throw new OverloadedError('full', { retryAfter: 0 })
    }
    const { url } = await serveDouble({}, { before })
    const { data } = await clientOf(url, { maxRetries: 2 }).embeddings.create(body('a'))
    expect([calls, data.length]).toEqual([3, 1])
  })

  it.each([
    ['does not retry what cannot succeed, even as a 5xx', new ModelError('broken bundle'), 1],
    ['retries what may succeed', new InternalError('hiccup'), 2],
  ])('%s', async (_, failure, expected) => {
    let calls = 0
    const before = () => {
      calls += 1
      throw failure
    }
    const { url } = await serveDouble({}, { before })
    const creating = clientOf(url, { maxRetries: 1 }).embeddings.create(body('a'))
    await expect(creating).rejects.toMatchObject({ status: 500, code: failure.code })
    expect(calls).toBe(expected)
  })

  it('throws its own RateLimitError when retries end', async () => {
    const before = () => {
      throw new OverloadedError('full')
    }
    const { url } = await serveDouble({}, { before })
    await expect(clientOf(url).embeddings.create(body('a'))).rejects.toBeInstanceOf(RateLimitError)
  })

  it('cancels the work of a call that it aborts', async () => {
    let aborted = false
    const before = (_: unknown, signal: AbortSignal | undefined) =>
      new Promise<void>((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          aborted = true
          reject(signal.reason)
        })
      })
    const { url, double } = await serveDouble({}, { before })
    const controller = new AbortController()
    const creating = clientOf(url).embeddings.create(body('a'), { signal: controller.signal })
    await eventually(() => expect(double.requests).toHaveLength(1))
    controller.abort()
    await expect(creating).rejects.toBeInstanceOf(APIUserAbortError)
    await eventually(() => expect(aborted).toBe(true))
  })

  it('lists models', async () => {
    const { url } = await serveDouble({}, { servedNames: ['double', 'nvidia/cosmos-embed1'] })
    const models = await clientOf(url).models.list()
    expect(models.data.map(({ id }) => id)).toEqual(['double', 'nvidia/cosmos-embed1'])
  })
})
