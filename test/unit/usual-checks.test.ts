/**
 * Valid inputs in their usual forms are accepted by plain checks, and all others are left to zod. An object of a class is never
 * usual, so it shows what the schema says about the same fields.
 */
import { describe, expect, test } from 'vitest'
import { checkCall } from '../../src/call/call-options.ts'
import { resolveEmbedderOptions } from '../../src/options.ts'
import { checkEmbedRequest, checkItem } from '../../src/request/schema.ts'
import { parseWireRequest } from '../../src/request/wire.ts'
import { checkLimits, defaultLimits } from '../../src/source/limits.ts'
import { random } from '../embedder/random.ts'

type Fields = Record<string, unknown>

class Unusual {}
const viaSchema = (input: Fields) => Object.assign(new Unusual(), input) as Fields

const signal = new AbortController().signal
const odd = [
  null,
  '',
  'x',
  -1,
  0,
  1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  true,
  [],
  {},
  () => {},
]
const bytes = new Uint8Array(3)
const url = new URL('https://media.test/a.mp4')

function outcome(check: () => unknown): unknown {
  try {
    return { result: check() }
  } catch (error) {
    const { code, message, index } = error as { code: string; message: string; index?: number }
    return { code, message, index }
  }
}

/** Objects with some of the fields, each with a valid value, or one of them with an odd one. */
function* inputs(fields: Record<string, readonly unknown[]>, count: number): Generator<Fields> {
  const below = random(7)
  const names = Object.keys(fields)
  for (let i = 0; i < count; i += 1) {
    const input: Fields = {}
    for (const name of names) {
      const values = fields[name] as readonly unknown[]
      if (below(2) === 0) input[name] = values[below(values.length)]
    }
    if (below(3) === 0)
      input[below(5) === 0 ? 'other' : (names[below(names.length)] as string)] = odd[below(odd.length)]
    yield input
  }
}

const item = { signal: [signal, undefined], whenFull: ['wait', 'refuse'], priority: ['query', 'bulk'] }
const range = {
  start: [0, 1.5, undefined],
  end: [2, 9],
  frameRule: ['card', 'curator', { indices: [0] }],
  frameTolerance: [0, 0.5],
}
const onProgress = [() => {}]
const kinds = {
  embed: { signal: item.signal, whenFull: item.whenFull, onProgress },
  item,
  video: { ...item, ...range },
  frames: { ...item, ...range, images: [true, false] },
  many: { ...item, onProgress },
  stream: { ...item, onProgress, concurrency: [1, 64], ordered: [true] },
  segments: { ...item, ...range, windowSeconds: [1, 0.5], strideSeconds: [2] },
  dispose: { drain: [true, false] },
}

describe('the plain checks and the schemas agree', () => {
  test.each(Object.entries(kinds))('about the options of %s', (kind, fields) => {
    for (const input of inputs(fields, 400)) {
      const check = (options: Fields) => outcome(() => checkCall(kind as keyof typeof kinds, options))
      expect(check(input), JSON.stringify(input)).toEqual(check(viaSchema(input)))
    }
  })

  test('about the options of an embedder', () => {
    const fields = {
      model: ['a/b', undefined],
      device: ['auto', 'cpu', 'cuda'],
      frameRule: ['card', 'rounded'],
      cuda: [{}, { onBuild: outcome }, { devices: 'all' }],
      signal: [signal],
      servedNames: [['a'], undefined],
      limits: [{}, { maxItems: 7 }],
      batching: [{ maxTextBatch: 3 }],
    }
    for (const input of inputs(fields, 600)) {
      const check = (options: Fields) => outcome(() => resolveEmbedderOptions(options))
      expect(check(input), JSON.stringify(input)).toEqual(check(viaSchema(input)))
    }
  })

  test('about limits', () => {
    const names = Object.keys(defaultLimits)
    for (const input of inputs(Object.fromEntries(names.map((name) => [name, [1, 2 ** 31 - 1]])), 400)) {
      const check = (limits: Fields) => outcome(() => checkLimits(limits))
      expect(check(input), JSON.stringify(input)).toEqual(check(viaSchema(input)))
    }
  })

  test('about items', () => {
    const image = { width: 1, height: 1, data: bytes }
    const fields = {
      text: ['a', ''],
      video: ['a.mp4', url, bytes, new Blob(['a']), 'https://a.test', ''],
      frames: [[], ['a.png', url, bytes], [image], [{ ...image, width: 2 }], ['data:,']],
      ...range,
      key: [1, undefined, null],
    }
    const check = (input: Fields) => outcome(() => checkItem(input))
    for (const input of inputs(fields, 1500)) {
      expect(check(input), JSON.stringify(input)).toEqual(check(viaSchema(input)))
    }
  })

  test('about requests in the process', () => {
    const fields = {
      request_type: ['query', 'bulk_text', 'BULK_VIDEO', 'other'],
      input: ['a', ['a', ''], [], [{ text: 'a' }, { video: bytes }], { text: 1 }, '', [1]],
      model: ['m', undefined],
      encoding_format: ['float', 'BASE64', undefined, 'hex'],
    }
    for (const input of inputs(fields, 800)) {
      // `checkEmbedRequest` copies the request, so its input takes the other way with an unusual item inside.
      const usual = outcome(() => checkEmbedRequest(input))
      const given = input.input
      if (typeof given !== 'object' || given === null || Array.isArray(given)) continue
      const other = outcome(() => checkEmbedRequest({ ...input, input: viaSchema(given as Fields) }))
      expect(usual, JSON.stringify(input)).toEqual(other)
    }
  })

  test('about bodies of HTTP', async () => {
    const rules = { models: ['m'], frames: 8, limits: defaultLimits }
    const fields = {
      request_type: ['query', 'bulk_text'],
      input: ['a', ['a', 'b'], [], ['a', ''], [1], 1],
      model: ['m'],
      encoding_format: ['float', 'base64', undefined],
    }
    const messages = new Set<string>()
    for (const input of inputs(fields, 600)) {
      const parsed = await parseWireRequest(input, rules).catch((error: Error) => error)
      const valid =
        (input.request_type === 'query' || input.request_type === 'bulk_text') &&
        input.model === 'm' &&
        ['float', 'base64', undefined].includes(input.encoding_format as string | undefined) &&
        Object.keys(input).every((name) => name in fields) &&
        (Array.isArray(input.input) ? input.input.length > 0 : true) &&
        [input.input].flat().every((text) => typeof text === 'string' && text !== '')
      expect(parsed instanceof Error, JSON.stringify(input)).toBe(!valid)
      if (parsed instanceof Error) messages.add(parsed.message)
    }
    expect(messages.size).toBeGreaterThan(10)
  })
})
