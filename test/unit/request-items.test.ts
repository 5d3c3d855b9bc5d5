import { Readable } from 'node:stream'
import vm from 'node:vm'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { CosmosEmbedError } from '../../src/errors.ts'
import { heldBytes, parseItem, planRequest, rememberParsed } from '../../src/request/items.ts'
import type { EmbedRequest, ItemInput } from '../../src/request/schema.ts'
import { parseWireRequest, wireRequestSchema } from '../../src/request/wire.ts'
import { defaultLimits } from '../../src/source/limits.ts'

const rules = { models: ['demo', 'nvidia/cosmos-embed1'], frames: 8, limits: defaultLimits }
const model = 'demo'

const video = (payload = 'AAAA') => `data:video/mp4;base64,${payload}`
const videoUrl = 'data:video/mp4;presigned_url,https://h/a.mp4?sig=1,2'
const frames = (n = 8) => `data:video_frames/jpg;base64,{${Array(n).fill('QUJD').join(',')}}`
const frameUrls = `data:video_frames/jpg;presigned_url,{${Array(8).fill('https://h/f.jpg?a,b').join(',')}}`

const ask = (request_type: string, input: unknown, rest: object = {}) =>
  parseWireRequest({ request_type, input, model, ...rest }, rules)

async function parseRequest(request: EmbedRequest, signal?: AbortSignal) {
  const { items, ...rest } = planRequest(request, rules)
  return { ...rest, items: await items(signal) }
}

async function refusal(promise: Promise<unknown>): Promise<CosmosEmbedError> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(CosmosEmbedError)
  return error as CosmosEmbedError
}

describe('forms and request types', () => {
  const allowed: [string, unknown, string[]][] = [
    ['query', 'a red car', ['text']],
    ['query', ['a red car'], ['text']],
    ['query', ['a', 'b', 'c'], ['text', 'text', 'text']],
    ['query', video(), ['video']],
    ['query', [video()], ['video']],
    ['query', videoUrl, ['video']],
    ['query', frames(), ['frames']],
    ['query', frameUrls, ['frames']],
    ['bulk_text', 'one', ['text']],
    ['bulk_text', ['one', 'two'], ['text', 'text']],
    ['bulk_video', videoUrl, ['video']],
    ['bulk_video', [videoUrl, frameUrls], ['video', 'frames']],
    ['bulk_video', [frames(), frames()], ['frames', 'frames']],
  ]
  test.each(allowed)('%s accepts %j', async (requestType, input, kinds) => {
    const { items } = await ask(requestType, input)
    expect(items.map(({ kind }) => kind)).toEqual(kinds)
  })

  const refused: [string, unknown, string, number | undefined][] = [
    ['query', [video(), video()], 'query video input must contain exactly one video', 0],
    ['query', ['text', videoUrl], 'query video input must contain exactly one video', 1],
    ['bulk_text', ['text', videoUrl], 'bulk_text input must contain text only', 1],
    ['bulk_text', frames(), 'bulk_text input must contain text only', 0],
    ['bulk_video', [video()], 'bulk_video full-video inputs must use ;presigned_url, payloads', 0],
    ['bulk_video', [frames(), video()], 'bulk_video full-video inputs must use ;presigned_url, payloads', 1],
    ['bulk_video', [videoUrl, 'text'], 'bulk_video input must contain videos only', 1],
    [
      'bulk_video',
      [videoUrl, frames()],
      'Cannot mix base64 and presigned URL inputs in same request',
      undefined,
    ],
    ['bulk_video', [videoUrl, frames(7)], 'video_frames input must contain exactly 8 frames', 1],
    ['bulk_text', Array(65).fill('x'), 'cosmos-embed supports maximum 64 inputs per request', undefined],
  ]
  test.each(refused)('%s refuses %j: %s', async (requestType, input, message, index) => {
    const error = await refusal(ask(requestType, input))
    expect(error).toMatchObject({ code: 'invalid_request', status: 422, message })
    expect(error.index).toBe(index)
  })

  test('64 items are accepted', async () => {
    expect((await ask('bulk_text', Array(64).fill('x'))).items).toHaveLength(64)
  })
})

describe('the JSON body', () => {
  const body = { request_type: 'query', input: 'hello', model }

  test('defaults to float and accepts enums in any case', async () => {
    expect(await parseWireRequest(body, rules)).toEqual({
      requestType: 'query',
      encodingFormat: 'float',
      items: [{ kind: 'text', text: 'hello' }],
    })
    const shouted = { ...body, request_type: 'QUERY', encoding_format: 'Base64' }
    expect(await parseWireRequest(shouted, rules)).toMatchObject({
      requestType: 'query',
      encodingFormat: 'base64',
    })
  })

  test('accepts an alias of the model', async () => {
    await expect(parseWireRequest({ ...body, model: 'nvidia/cosmos-embed1' }, rules)).resolves.toBeDefined()
  })

  const wrong: [string, unknown, RegExp][] = [
    ['null', null, /the request: must be an object: .*request_type.*found null/],
    ['a list', [body], /the request: must be an object.*found a list/],
    ['a string', 'hello', /the request/],
    ['nothing in it', {}, /request_type: is required/],
    ['another type', { ...body, request_type: 'bulk' }, /request_type: must be "query", .*found "bulk"/],
    ['a number for a type', { ...body, request_type: 7 }, /request_type/],
    ['no input', { request_type: 'query', model }, /input: is required/],
    ['a number as input', { ...body, input: 5 }, /input: .*found 5/],
    ['a number in the input', { ...body, input: ['a', 5] }, /input\[1\]: must be a string.*found 5/],
    ['an empty list', { ...body, input: [] }, /input: /],
    ['empty text', { ...body, input: '' }, /input: /],
    ['blank text', { ...body, input: ' \n\t' }, /text input must not be empty/],
    ['no model', { request_type: 'query', input: 'a' }, /model: is required/],
    ['another model', { ...body, model: 'gpt' }, /model: "gpt" is not loaded here, use "demo" or "nvidia/],
    ['another format', { ...body, encoding_format: 'int8' }, /encoding_format: .*float.*found "int8"/],
    ['an unknown field', { ...body, dimensions: 256 }, /unknown field "dimensions"/],
    [
      'a prototype',
      JSON.parse('{"request_type":"query","input":"a","model":"demo","__proto__":{}}'),
      /__proto__/,
    ],
    ['an in-process item', { ...body, input: { video: '/etc/passwd' } }, /input: /],
    ['an in-process item in a list', { ...body, input: [{ video: '/etc/passwd' }] }, /input\[0\]: /],
    [
      'a file URL',
      { ...body, input: 'data:video/mp4;presigned_url,file:///etc/passwd' },
      /not a URL: expected https/,
    ],
    ['a relative URL', { ...body, input: 'data:video/mp4;presigned_url,a.mp4' }, /not a URL: expected https/],
  ]
  test.each(wrong)('refuses %s', async (_, value, message) => {
    const error = await refusal(parseWireRequest(value, rules))
    expect(error).toMatchObject({ code: 'invalid_request', type: 'invalid_request_error' })
    expect(error.message).toMatch(message)
    expect(error.message).not.toContain('passwd')
  })

  test('names the item and the frame of invalid base64', async () => {
    const list = Array(8).fill('QUJD')
    list[5] = 'QU*D'
    const error = await refusal(ask('bulk_video', [frames(), `data:video_frames/jpg;base64,{${list}}`]))
    expect(error.index).toBe(1)
    expect(error.message).toMatch(/video_frames payload 5 is not base64: character "\*" at offset 2/)
  })

  test('limits inline bytes before they are decoded, all frames of an item together', async () => {
    const small = { ...rules, limits: { ...defaultLimits, maxInlineBytes: 23 } }
    const request = { request_type: 'bulk_video', input: [frames()], model }
    const error = await refusal(parseWireRequest(request, small))
    expect(error).toMatchObject({ code: 'limit', status: 422, index: 0 })
    expect(error.details).toEqual({ found: 24, limit: 23 })
    const enough = { ...rules, limits: { ...defaultLimits, maxInlineBytes: 24 } }
    await expect(parseWireRequest(request, enough)).resolves.toBeDefined()
  })

  test('limits the length of texts and URLs', async () => {
    const small = { ...rules, limits: { ...defaultLimits, maxTextCharacters: 5, maxUrlCharacters: 20 } }
    const text = await refusal(parseWireRequest({ ...body, input: 'abcdef' }, small))
    expect(text).toMatchObject({ code: 'limit', details: { found: 6, limit: 5 } })
    const url = await refusal(parseWireRequest({ ...body, input: videoUrl }, small))
    expect(url).toMatchObject({ code: 'limit', details: { limit: 20 } })
    expect(url.message).not.toContain('sig=')
  })

  test('turns payloads into bytes and URLs, in order', async () => {
    const payloads = Array.from({ length: 8 }, (_, i) => Buffer.from([i, 255 - i]).toString('base64'))
    const { items } = await ask('query', `data:video_frames/jpg;base64,{${payloads}}`)
    const [item] = items
    if (item?.kind !== 'frames') throw new Error('expected frames')
    const bytes = item.frames.map((frame) => (frame.type === 'bytes' ? [...frame.bytes] : []))
    expect(bytes).toEqual(Array.from({ length: 8 }, (_, i) => [i, 255 - i]))
    expect(heldBytes(item)).toBe(16)
    const { items: byUrl } = await ask('query', videoUrl)
    expect(byUrl[0]).toEqual({ kind: 'video', source: { type: 'url', url: 'https://h/a.mp4?sig=1,2' } })
  })

  test('reuses a request that was already parsed', async () => {
    const parsed = await ask('query', frames())
    const request = { request_type: 'query', input: { text: 'not looked at' } } as const
    rememberParsed(request, parsed)
    const plan = planRequest(request, rules)
    expect(plan).toMatchObject({ requestType: 'query', cost: { items: 1, bytes: 24 } })
    expect(await plan.items()).toBe(parsed.items)
    const copy = planRequest({ ...request }, rules)
    expect(await copy.items()).toEqual([{ kind: 'text', text: 'not looked at' }])
  })

  test('the schema describes one variant per request type', () => {
    const schema = z.toJSONSchema(wireRequestSchema, { io: 'input' }) as { oneOf: { properties: object }[] }
    const types = schema.oneOf.map(
      ({ properties }) => (properties as Record<string, { const: string }>).request_type,
    )
    expect(types.map((type) => type?.const)).toEqual(['query', 'bulk_text', 'bulk_video'])
    const patterns = JSON.stringify(schema.oneOf[2]).match(/"pattern":"(.*?[^\\])"/)
    const pattern = new RegExp(JSON.parse(`"${patterns?.[1]}"`))
    const taken = [
      frames(),
      frameUrls,
      frames().replace(/[{}]/g, ''),
      ` ${frames().toUpperCase()}`,
      'data:video/mp4;presigned_url,https://h/a.mp4',
      'DATA:video/webm;codecs=vp9,opus;presigned_url,https://h/a.mp4',
    ]
    for (const good of taken) expect(good).toMatch(pattern)
    for (const bad of ['text', video()]) expect(bad).not.toMatch(pattern)
  })
})

describe('in process', () => {
  const picture = { width: 2, height: 1, data: new Uint8Array(6) }
  const eight = <T>(value: T): T[] => Array(8).fill(value)

  test('typed items become sources', async () => {
    const bytes = Uint8Array.of(1, 2, 3)
    const stream = Readable.from([bytes])
    const input: ItemInput[] = [
      { video: 'clips/a.mp4', start: 1, end: 2.5, frameRule: { indices: eight(3) }, frameTolerance: 0.2 },
      { video: new URL('file:///clips/a%20b.mp4') },
      { video: new URL('https://h/a.mp4?sig=1') },
      { video: bytes },
      { video: stream },
      {
        frames: [
          'a.png',
          new URL('file:///b.png'),
          new URL('https://h/c.png'),
          bytes,
          picture,
          bytes,
          bytes,
          bytes,
        ],
      },
    ]
    const { items } = await parseRequest({ request_type: 'bulk_video', input })
    expect(items.slice(0, 5)).toEqual([
      {
        kind: 'video',
        source: { type: 'path', path: 'clips/a.mp4' },
        start: 1,
        end: 2.5,
        frameRule: { indices: eight(3) },
        frameTolerance: 0.2,
      },
      { kind: 'video', source: { type: 'path', path: '/clips/a b.mp4' } },
      { kind: 'video', source: { type: 'url', url: 'https://h/a.mp4?sig=1' } },
      { kind: 'video', source: { type: 'bytes', bytes } },
      { kind: 'video', source: { type: 'stream', stream } },
    ])
    expect(items[5]).toMatchObject({
      kind: 'frames',
      frames: [
        { type: 'path', path: 'a.png' },
        { type: 'path', path: '/b.png' },
        { type: 'url', url: 'https://h/c.png' },
        { type: 'bytes' },
        { type: 'image', image: picture },
        { type: 'bytes' },
        { type: 'bytes' },
        { type: 'bytes' },
      ],
    })
    expect(items.map(heldBytes)).toEqual([0, 0, 0, 3, 0, 3 * 4 + 6])
  })

  test('accepts bytes in bulk requests, and takes { text } literally', async () => {
    const { items } = await parseRequest({
      request_type: 'query',
      input: { text: 'data:video/mp4;base64,AAAA' },
    })
    expect(items).toEqual([{ kind: 'text', text: 'data:video/mp4;base64,AAAA' }])
  })

  const wrong: [string, unknown, RegExp, number | undefined][] = [
    ['an item of no kind', [{ image: 'a' }], /input\[0\]: must be a string, \{ text \}, \{ video \}/, 0],
    ['an item of two kinds', ['a', { text: 'a', video: 'b' }], /input\[1\]: must be a string/, 1],
    ['null', [null], /input\[0\]: must be a string/, 0],
    ['a number for a video', [{ video: 5 }], /input\[0\].video: must be a file path/, 0],
    [
      'a URL in a string',
      [{ video: 'https://h/a?sig=1' }],
      /input\[0\].video: must be a file path: pass a URL as/,
      0,
    ],
    ['a data URI as a path', [{ video: video() }], /input\[0\].video: must be a file path: .* as bytes/, 0],
    ['an ftp URL', [{ video: new URL('ftp://h/a') }], /video is not a URL: expected https/, 0],
    ['a negative start', [{ video: 'a', start: -1 }], /input\[0\].start: .*found -1/, 0],
    ['NaN', [{ video: 'a', start: Number.NaN }], /input\[0\].start/, 0],
    [
      'an end before the start',
      [{ video: 'a', start: 2, end: 2 }],
      /input\[0\].end: must be greater than start/,
      0,
    ],
    [
      'a frame rule of no name',
      [{ video: 'a', frameRule: 'vss' }],
      /input\[0\].frameRule: must be "card"/,
      0,
    ],
    [
      'two lists of frames',
      [{ video: 'a', frameRule: { indices: eight(1), timestamps: eight(1) } }],
      /input\[0\].frameRule/,
      0,
    ],
    ['half a frame', [{ video: 'a', frameRule: { indices: eight(1.5) } }], /input\[0\].frameRule/, 0],
    [
      'a time before the start',
      [{ video: 'a', frameRule: { timestamps: eight(-1) } }],
      /input\[0\].frameRule/,
      0,
    ],
    [
      'seven chosen frames',
      [{ video: 'a', frameRule: { indices: [0, 1, 2, 3, 4, 5, 6] } }],
      /frameRule.indices must name exactly 8 frames, found 7/,
      0,
    ],
    ['a misspelt option', [{ video: 'a', begin: 2 }], /input\[0\]: unknown field "begin"/, 0],
    ['seven frames', [{ frames: Array(7).fill('a') }], /frames must contain exactly 8 pictures, found 7/, 0],
    [
      'a picture of the wrong size',
      [{ frames: eight({ width: 2, height: 2, data: new Uint8Array(13) }) }],
      /input\[0\].frames\[0\]: must hold 3 \* width \* height = 12 bytes of RGB in data, found 13/,
      0,
    ],
    ['nothing', undefined, /input: is required/, undefined],
  ]
  test.each(wrong)('refuses %s', async (_, input, message, index) => {
    const error = await refusal(parseRequest({ request_type: 'bulk_video', input } as EmbedRequest))
    expect(error.code).toBe('invalid_request')
    expect(error.message).toMatch(message)
    expect(error.message).not.toContain('sig=')
    expect(error.index).toBe(index)
  })

  test('parseItem refuses strings, which could be texts or paths', () => {
    expect(parseItem({ text: 'hello' }, rules)).toEqual({ kind: 'text', text: 'hello' })
    expect(parseItem({ text: 'a.mp4', key: 7 }, rules)).toEqual({ kind: 'text', text: 'a.mp4' })
    for (const text of ['hello', 'a.mp4', video(), '']) {
      expect(() => parseItem(text as unknown as ItemInput, rules)).toThrow(
        'input: is a string, which could be a text or a path: pass { text: … } or { video: … }',
      )
    }
    expect(() => parseItem({ video: 'a', end: -1 }, rules)).toThrow(/^input\.end/)
  })

  test('the memory of inline media is known before it is decoded', async () => {
    const { cost, items } = planRequest({ request_type: 'bulk_video', input: [frames(), frames()] }, rules)
    expect(cost).toEqual({ items: 2, bytes: 48 })
    expect((await items()).map(heldBytes)).toEqual([24, 24])
    const mixed = [{ video: Uint8Array.of(1, 2, 3) }, { text: 'a' }] as const
    expect(planRequest({ request_type: 'query', input: mixed[0] }, rules).cost).toEqual({
      items: 1,
      bytes: 3,
    })
    expect(planRequest({ request_type: 'query', input: mixed[1] }, rules).cost).toEqual({
      items: 1,
      bytes: 0,
    })
  })

  test('accepts media of another realm, Blobs and responses', async () => {
    const realm = vm.createContext({})
    const bytes: Uint8Array = vm.runInContext('Uint8Array.of(1, 2, 3)', realm)
    const buffer: ArrayBuffer = vm.runInContext('Uint8Array.of(1, 2, 3).buffer', realm)
    expect(bytes).not.toBeInstanceOf(Uint8Array)
    for (const video of [bytes, buffer]) {
      const item = parseItem({ video }, rules)
      expect(item).toMatchObject({ kind: 'video', source: { type: 'bytes' } })
      expect(item).toEqual({ kind: 'video', source: { type: 'bytes', bytes: Uint8Array.of(1, 2, 3) } })
    }
    const blob = new Blob([bytes])
    expect(parseItem({ video: blob }, rules)).toEqual({ kind: 'video', source: { type: 'blob', blob } })
    const response = new Response(blob)
    expect(parseItem({ video: response }, rules)).toMatchObject({ source: { stream: response.body } })
    expect(() => parseItem({ video: new Response('x', { status: 404 }) }, rules)).toThrow(/status 404/)
    expect(() => parseItem({ video: new Response(null) }, rules)).toThrow(/no body/)
  })

  test('rejects with the reason of an aborted signal', async () => {
    const signal = AbortSignal.abort('gone')
    const request: EmbedRequest = { request_type: 'query', input: 'a' }
    await expect(parseRequest({ ...request, input: video('QUJD'.repeat(200_000)) }, signal)).rejects.toBe(
      'gone',
    )
  })
})
