/** Texts that are expensive to tokenize. They need the worker thread, and so the built package. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { createEmbedder, type Embedder } from 'cosmos-embed'
import { createServer } from 'cosmos-embed/http'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts'
import { post, request } from './support.ts'

const longest = 65_536
const fill = (unit: string) => unit.repeat(Math.floor(longest / unit.length))
const hostile = {
  'words that end in an unknown letter': fill(`${'a'.repeat(98)}\u{1f389} `),
  'a tower of accents': `a${fill('\u0300\u0316')}`.slice(0, longest),
  'a tower of other marks': fill('\u302e\u{1d165}'),
  'one word': fill('각'),
  'usual text': fill('a red circle moving left, '),
  'a blank text with a word at its end': `${' '.repeat(longest - 6)}circle`,
}

describe('texts', () => {
  let embedder: Embedder

  beforeAll(async () => {
    embedder = await createEmbedder({ device: 'cpu' })
  })
  afterAll(() => embedder?.dispose())

  it.each(Object.entries(hostile))(
    '(%s) have the same tokens in a thread as on the main thread',
    async (_, text) => {
      const path = fileURLToPath(new URL('../../models/demo/tokenizer.json', import.meta.url))
      const { maxTextTokens } = embedder.info().model
      const expected = (await loadTokenizer(path, maxTextTokens)).encode(text)
      const { tokens, truncated } = await embedder.embedText(text)
      expect({ tokens, truncated }).toEqual({ tokens: expected.tokens, truncated: expected.truncated })
    },
  )

  it('are cut off at the number of tokens that the model takes', async () => {
    const [whole, beginning] = await Promise.all(
      [hostile['usual text'], hostile['usual text'].slice(0, 2600)].map((text) => embedder.embedText(text)),
    )
    expect(whole?.embedding).toEqual(beginning?.embedding)
  })

  it('without a token are refused, whatever their length', async () => {
    await expect(embedder.embedText(`\u0001${' '.repeat(5000)}\u0001`)).rejects.toMatchObject({
      code: 'invalid_request',
    })
  })

  it('that are cancelled do not disturb others', async () => {
    const controller = new AbortController()
    const givenUp = Array.from({ length: 20 }, () =>
      embedder.embedText(hostile['one word'], { signal: controller.signal }),
    )
    setTimeout(() => controller.abort('enough'), 5)
    for (const one of givenUp) await expect(one).rejects.toBe('enough')
    expect((await embedder.embedText(hostile['one word'])).truncated).toBe(false)
    expect(embedder.stats().inFlight).toEqual({ items: 0, bytes: 0, requests: 0 })
  })

  it('do not block the event loop', async () => {
    const server = await createServer({ embedder })
    onTestFinished(() => server.close())
    const url = await server.listen({ port: 0 })
    await server.ready
    const model = embedder.info().model.id
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    for (const text of Object.values(hostile)) {
      const bulk = { request_type: 'bulk_text', input: Array(16).fill(text), model }
      const answering = post(url, bulk)
      let answered = false
      answering.finally(() => {
        answered = true
      })
      while (!answered) expect((await request(`${url}/v1/health/live`)).status).toBe(200)
      expect((await answering).status).toBe(200)
    }
    delay.disable()
    // On the main thread, one of these texts blocked the loop for 1.5 seconds, and for up to 9 on a busy machine.
    expect(delay.max / 1e6).toBeLessThan(1000)
  })
})
