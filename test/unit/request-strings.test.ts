import { describe, expect, test } from 'vitest'
import { Base64Decoder, base64Bytes } from '../../src/request/base64.ts'
import { parseInputString } from '../../src/request/data-uri.ts'

/** A small generator with a seed, so that a failure can be repeated. */
function random(seed: number) {
  let state = seed
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  return { next, pick: <T>(values: readonly T[]) => values[next(values.length)] as T }
}

describe('parseInputString', () => {
  test.each([
    'a red car turning left',
    'data: the new oil',
    'data:',
    'https://host/a.mp4',
    'clips/a.mp4',
    'see data:video/mp4;base64,AAAA',
    'datavideo/mp4;base64,AAAA',
  ])('takes %j for text, never for a path', (text) => {
    expect(parseInputString(text, 8)).toEqual({ form: 'text', text })
  })

  test.each([
    ['data:video/mp4;base64,AAAA', { form: 'video', format: 'mp4', encoding: 'base64', payloads: ['AAAA'] }],
    ['DATA:Video/MP4;BASE64,AaAa', { form: 'video', format: 'mp4', encoding: 'base64', payloads: ['AaAa'] }],
    [
      'data:video/x-matroska;presigned_url,https://h/a,b.mkv?x={1}',
      {
        form: 'video',
        format: 'x-matroska',
        encoding: 'presigned_url',
        payloads: ['https://h/a,b.mkv?x={1}'],
      },
    ],
    [
      'data:video_frames/png;base64,{AA==,BB==}',
      { form: 'video_frames', format: 'png', encoding: 'base64', payloads: ['AA==', 'BB=='] },
    ],
  ])('reads %s', (input, parsed) => {
    expect(parseInputString(input, 2)).toEqual(parsed)
  })

  test.each([
    'data:video/mp4,AAAA',
    'data:video/;base64,AAAA',
    'data:video/mp4;base32,AAAA',
    'data:video/mp4;codecs=avc1;base64,AAAA',
    'data:video_frames/jpg;url,{a}',
    'data:image/png;base64,AAAA',
    'data:audio/wav;presigned_url,https://h/a',
    `data:video/${'x'.repeat(200)};base64,AAAA`,
  ])('refuses %s and shows the forms that exist', (input) => {
    expect(() => parseInputString(input, 8)).toThrow(/none of the forms data:video\/<fmt>;base64/)
  })

  test('never shows the payload of a string that it refuses', () => {
    expect(() => parseInputString('data:video/mp4;url,https://h/?sig=SECRET', 8)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('SECRET') }),
    )
  })

  test.each(['AAAA,BBBB', '{AAAA,BBBB', 'AAAA,BBBB}', ''])('wants braces around frames: %j', (list) => {
    expect(() => parseInputString(`data:video_frames/jpg;base64,${list}`, 2)).toThrow(/braces/)
  })

  test.each([
    ['{}', 8, 0],
    ['{A}', 8, 1],
    ['{A,B,C,D,E,F,G}', 8, 7],
    ['{A,B,C}', 2, 3],
    [`{${','.repeat(5000)}}`, 8, 9],
  ])('counts frames: %s wanted %i', (list, frames, found) => {
    expect(() => parseInputString(`data:video_frames/jpg;base64,${list}`, frames)).toThrow(
      expect.objectContaining({
        message: `video_frames input must contain exactly ${frames} frames`,
        details: { found, expected: frames },
      }),
    )
  })

  test('splits URLs that hold commas, braces and more, whatever they are', () => {
    const pieces = ['a', ',', '%2C', '{', '}', '?k=v', '&', '=', ',http', ',https:', ';', '/', ',ftp://x']
    for (let seed = 1; seed <= 300; seed++) {
      const { next, pick } = random(seed)
      const frames = 1 + next(12)
      const urls = Array.from({ length: frames }, (_, frame) => {
        const tail = Array.from({ length: next(8) }, () => pick(pieces)).join('')
        return `${pick(['http://', 'https://', 'HTTPS://'])}host${frame}/${tail}`
      })
      const input = `data:video_frames/jpg;presigned_url,{${urls.join(pick([',', ', ']))}}`
      expect(parseInputString(input, frames), input).toMatchObject({ payloads: urls })
    }
  })
})

describe('Base64Decoder', () => {
  const decode = (text: string, signal?: AbortSignal) => new Base64Decoder(signal).decode(text, 'frame 3')

  test('gives back what was encoded, at every length modulo 3 and over slices', async () => {
    const lengths = [1, 2, 3, 4, 5, 100, 393_215, 393_216, 393_217, 1_000_000]
    for (const length of lengths) {
      const { next } = random(length)
      const bytes = Uint8Array.from({ length }, () => next(256))
      const text = Buffer.from(bytes).toString('base64')
      expect(base64Bytes(text)).toBe(length)
      const decoded = await decode(text)
      expect(Buffer.compare(decoded, bytes)).toBe(0)
    }
  })

  const long = 'QUJD'.repeat(300_000)
  test.each([
    ['nothing', '', /frame 3 is empty/],
    ['no padding', 'QQ', /length 2 is not a multiple of 4/],
    ['a space', 'QU D', /character " " at offset 2/],
    ['a line break', 'QUJDQUJ\n', /character "\\n" at offset 7/],
    ['the URL-safe alphabet', 'QU-_', /character "-" at offset 2/],
    ['padding in the middle', 'QQ==QUJD', /character "=" at offset 2/],
    ['padding only', '====', /character "=" at offset 0/],
    ['too much padding', 'Q===', /character "=" at offset 1/],
    ['stray bits', 'QR==', /stray bits/],
    ['wide characters whose low byte is in the alphabet', '\u0141\u0141\u0141\u0141', /at offset 0/],
    ['junk far behind', `${long.slice(0, -4)}Q*JD`, /character "\*" at offset 1199997/],
    ['padding at the end of a slice', `${'QUJD'.repeat(131_071)}QQ==QUJD`, /character "=" at offset 524286/],
  ])('refuses %s', async (_, text, message) => {
    await expect(decode(text)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(message),
    })
  })

  test('lets other events run in between, also over many small texts', async () => {
    for (const texts of [[long], Array.from({ length: 300 }, () => 'QUJD'.repeat(2000))]) {
      let turns = 0
      const count = () => {
        turns++
        timer = setImmediate(count)
      }
      let timer = setImmediate(count)
      const decoder = new Base64Decoder()
      for (const text of texts) await decoder.decode(text, 'frame')
      clearImmediate(timer)
      expect(turns).toBeGreaterThanOrEqual(2)
    }
  })

  test('stops between slices when aborted', async () => {
    const controller = new AbortController()
    const decoding = decode(long, controller.signal)
    controller.abort('enough')
    await expect(decoding).rejects.toBe('enough')
  })
})
