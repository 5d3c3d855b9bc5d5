import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { addItemIndex } from '../../src/base/item-errors.ts'
import { translateNativeFailure } from '../../src/base/native-failure.ts'
import * as errors from '../../src/errors.ts'

const { CosmosEmbedError, DownloadError, errorTable, MediaError, OverloadedError } = errors

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const codes = Object.keys(errorTable)

describe('the error table', () => {
  test('matches docs/errors.md, row by row', () => {
    const rows = read('docs/errors.md')
      .split('\n')
      .filter((line) => /^\| `\w+` \| `\w+Error` \|/.test(line))
    const expected = Object.entries(errorTable).map(([code, meaning]) => {
      const { status, type, retryable, advice } = meaning
      return `| \`${code}\` | \`${meaning.class.name}\` | ${status} | \`${type}\` | ${retryable ? 'yes' : 'no'} | ${advice} |`
    })
    expect(rows).toEqual(expected)
  })

  test('has every code of the native boundary and of status.cc, which agree', () => {
    const union = /export type NativeErrorCode =([^;]*?)\n\n/.exec(read('lib/binding.d.ts'))?.[1] ?? ''
    const declared = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code as string)
    const returned = [...read('native/base/status.cc').matchAll(/case StatusCode::k\w+: return "(\w+)"/g)]
      .map(([, code]) => code as string)
      .filter((code) => code !== 'ok')
    expect(declared.length).toBeGreaterThan(5)
    expect([...returned].sort()).toEqual([...declared].sort())
    expect(codes).toEqual(expect.arrayContaining(declared))
  })

  test('has every exported class, and every class is exported', () => {
    const exported = Object.entries(errors)
      .filter(([, value]) => typeof value === 'function' && value.prototype instanceof CosmosEmbedError)
      .map(([name]) => name)
    const listed = new Set(Object.values(errorTable).map((meaning) => meaning.class.name))
    expect([...listed].sort()).toEqual(exported.sort())
  })

  test.each(codes)('%s: the class creates an error with the meaning of its row', (code) => {
    const meaning = errorTable[code as keyof typeof errorTable]
    const options = code.endsWith('_rejected') ? { permanent: true } : {}
    const error = new meaning.class('what happened', options)
    expect(error).toBeInstanceOf(CosmosEmbedError)
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      name: meaning.class.name,
      code,
      status: meaning.status,
      type: meaning.type,
      retryable: meaning.retryable,
      message: 'what happened',
      details: {},
      index: undefined,
    })
    expect('cause' in error).toBe(false)
  })
})

describe('translateNativeFailure', () => {
  test.each([
    ['media', 'MediaError', 422],
    ['limit', 'LimitError', 422],
    ['timeout', 'TimeoutError', 504],
    ['device_lost', 'DeviceLostError', 503],
    ['internal', 'InternalError', 500],
  ])('turns %s into %s', (code, name, status) => {
    const failure = { code, message: 'no frame decodes', details: { codec: 'h264', position: 7 } }
    expect(translateNativeFailure(failure, { index: 3 })).toMatchObject({
      name,
      code,
      status,
      index: 3,
      message: 'no frame decodes',
      details: { codec: 'h264', position: 7 },
    })
  })

  test("gives back the caller's own reason when the caller aborted", () => {
    const reason = { because: 'the user left' }
    const failure = { code: 'cancelled', message: 'cancelled', details: {} }
    expect(translateNativeFailure(failure, { signal: AbortSignal.abort(reason) })).toBe(reason)
    expect(translateNativeFailure(failure, { signal: new AbortController().signal })).toMatchObject({
      code: 'cancelled',
    })
    expect(translateNativeFailure(failure)).toMatchObject({ code: 'cancelled', status: 499 })
  })

  test('reports a failure that is not a cancellation even if the signal is aborted', () => {
    const failure = { code: 'media', message: 'damaged', details: {} }
    expect(translateNativeFailure(failure, { signal: AbortSignal.abort() })).toBeInstanceOf(MediaError)
  })

  test('keeps the line breaks of the loader’s messages', () => {
    const message = 'not loaded\nTried:\n  /a/x.node\n    no such file'
    const error = translateNativeFailure({ code: 'library', message, details: {} }) as errors.CosmosEmbedError
    expect(error.message).toBe(message)
  })

  test('removes pointers and control characters, and shortens long messages', () => {
    const message = `bad packet at 0x7ffe12AB34cd\n\u0000${'x'.repeat(5000)}`
    const error = translateNativeFailure({ code: 'engine', message, details: {} }) as Error
    expect(error.message).not.toMatch(/7ffe|\p{Cc}/iu)
    expect(error.message.length).toBeLessThanOrEqual(1000)
  })

  test.each([
    ['an unknown code', { code: 'toString', message: 'm', details: {} }],
    ['another error', new TypeError('secret of the machine')],
    ['null', null],
    ['a string', 'boom'],
  ])('%s is an internal error that keeps the cause to itself', (_, failure) => {
    const error = translateNativeFailure(failure) as Error
    expect(error).toMatchObject({ code: 'internal' })
    expect(error.cause).toBe(failure)
    expect(error.message).not.toContain('secret')
  })

  test('returns errors of this package unchanged', () => {
    const error = new MediaError('damaged')
    expect(translateNativeFailure(error)).toBe(error)
  })
})

describe('addItemIndex', () => {
  test('returns a copy, so that one failure can name each of the items that share it', () => {
    const shared = new OverloadedError('full', { retryAfter: 4, details: { limit: 9 }, cause: 'queue' })
    const [first, second] = [addItemIndex(shared, 0), addItemIndex(shared, 5)] as InstanceType<
      typeof OverloadedError
    >[]
    expect(shared.index).toBeUndefined()
    expect(first).toBeInstanceOf(OverloadedError)
    expect([first?.index, second?.index]).toEqual([0, 5])
    expect(second).toMatchObject({ retryAfter: 4, details: { limit: 9 }, message: 'full', cause: 'queue' })
    expect(second?.stack).toBe(shared.stack)
  })

  test('keeps an index that is already set', () => {
    const blamed = new DownloadError('gone', { index: 2, permanent: true })
    expect(addItemIndex(blamed, 7)).toBe(blamed)
  })
})
