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
    'data: the new oil, and the old',
    'data:',
    'data:science,art',
    'see data:video/mp4;base64,AAAA',
    'datavideo/mp4;base64,AAAA',
    'watch https://host/a.mp4',
    'what is in a.mp4',
    'we shipped node.js',
    'version 1.2.3',
    '  a red car  ',
    '3gp',
    '.mp4 files',
    'a: b/c, d',
  ])('takes %j for text', (text) => {
    expect(parseInputString(text, 8)).toEqual({ form: 'text', text })
  })

  test.each([
    ['clip.mp4', 'the name of a media file'],
    ['clips/a.MKV', 'the name of a media file'],
    [' /data/my holiday.mov\n', 'the name of a media file'],
    ['C:\\Users\\me\\a b.avi', 'the name of a media file'],
    ['~/pictures/x.jpeg', 'the name of a media file'],
    ['https://storage.example/object?X-Amz-Signature=1', 'a URL'],
    ['s3://bucket/key', 'a URL'],
    ['https://host/watch?v=a.mp4', 'a URL'],
  ])('takes %j for the text that it is, and says what it looks like', (text, looksLike) => {
    expect(parseInputString(text, 8)).toEqual({ form: 'text', text, looksLike })
  })

  test.each([
    'https://host/a.mp4',
    ' HTTPS://host/a.MP4?sig=1#t=3 ',
    's3://bucket/clips/a.webm',
    'file:///clips/a.mkv',
    'gs://bucket/a.png',
  ])('refuses the URL of a media file, and says how to send it: %j', (text) => {
    expect(() => parseInputString(text, 8)).toThrow(/presigned_url,<url>/)
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
    [
      'data:video_frames/png;base64,AA==,BB==',
      { form: 'video_frames', format: 'png', encoding: 'base64', payloads: ['AA==', 'BB=='] },
    ],
    [
      'data:video_frames/png;presigned_url, { https://h/a,b , https://h/c } ',
      {
        form: 'video_frames',
        format: 'png',
        encoding: 'presigned_url',
        payloads: ['https://h/a,b', 'https://h/c'],
      },
    ],
    [
      '\n data:video/mp4;base64,AAAA',
      { form: 'video', format: 'mp4', encoding: 'base64', payloads: ['AAAA'] },
    ],
    [
      'data:video/webm;codecs=vp9,opus;base64,AAAA',
      { form: 'video', format: 'webm', encoding: 'base64', payloads: ['AAAA'] },
    ],
    [
      'data:Video/MP4; codecs="avc1.42E01E, mp4a.40.2" ; charset=utf-8;BASE64,AAAA',
      { form: 'video', format: 'mp4', encoding: 'base64', payloads: ['AAAA'] },
    ],
    [
      'data:video/mp4;presigned_url, https://h/a.mp4?x=;base64,y ',
      { form: 'video', format: 'mp4', encoding: 'presigned_url', payloads: ['https://h/a.mp4?x=;base64,y'] },
    ],
  ])('reads %s', (input, parsed) => {
    expect(parseInputString(input, 2)).toEqual(parsed)
  })

  test.each([
    'data:video/mp4,AAAA',
    'data:video/;base64,AAAA',
    'data:video/mp4;base32,AAAA',
    'data:video/mp4;codecs;base64,AAAA',
    ' data:;base64,AAAA',
    'data:,hello',
    'data:application/octet-stream;base64,AAAA',
    'DATA:text/plain;charset=utf-8,hello',
    'data:base64,AAAA,',
    'data: video/mp4;base64,AAAA',
    'data:video_frames/jpg;url,{a}',
    'data:image/png;base64,AAAA',
    'data:audio/wav;presigned_url,https://h/a',
    `data:video/${'x'.repeat(200)};base64,AAAA`,
  ])('refuses %s and shows the forms that exist', (input) => {
    expect(() => parseInputString(input, 8)).toThrow(/none of the forms data:video\/<fmt>;base64/)
  })

  test('never shows the payload of a refused string', () => {
    expect(() => parseInputString('data:video/mp4;url,https://h/?sig=SECRET', 8)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('SECRET') }),
    )
  })

  test.each([
    ['{AAAA,BBBB', /opens a brace/],
    ['AAAA,BBBB}', /closes a brace/],
    ['', /exactly 2 frames/],
  ])('wants both braces or none: %j', (list, message) => {
    expect(() => parseInputString(`data:video_frames/jpg;base64,${list}`, 2)).toThrow(message)
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

  test('splits URLs that contain commas, braces and other separators', () => {
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

  test('decodes what was encoded, at every length modulo 3 and across slices', async () => {
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

  test('accepts line breaks, the URL-safe alphabet and missing padding, wherever slices end', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const { next, pick } = random(seed)
      const bytes = Uint8Array.from({ length: 1 + next(seed % 6 === 0 ? 900_000 : 200) }, () => next(256))
      let text = Buffer.from(bytes).toString(pick(['base64', 'base64url']))
      if (next(2)) text = text.replace(/=+$/, '')
      const width = pick([1, 3, 64, 76, 1000])
      if (next(2)) text = text.replace(new RegExp(`.{${width}}`, 'g'), `$&${pick(['\n', '\r\n', ' ', '\t'])}`)
      if (next(2)) text = ` ${text}\n`
      const decoded = await decode(text)
      expect(Buffer.compare(decoded, bytes), `seed ${seed}`).toBe(0)
      expect(base64Bytes(text)).toBeGreaterThanOrEqual(bytes.length)
    }
  })

  test('names the first invalid character and its offset', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const { next, pick } = random(seed)
      const length = seed % 6 === 0 ? 1_200_000 : 400
      const text = 'QUJD\n'.repeat(length / 5)
      const at = next(text.length)
      const junk = pick(['*', '"', '%', '=', 'é', '\u0141', '😀', '\0'])
      const broken = text.slice(0, at) + junk + text.slice(at).replace(/\n?$/, 'QUJD')
      await expect(decode(broken), `seed ${seed}`).rejects.toMatchObject({
        message: `frame 3 is not base64: character ${JSON.stringify(junk)} at offset ${at}`,
      })
    }
  })

  const long = 'QUJD'.repeat(300_000)
  test.each([
    ['nothing', '', /frame 3 is empty/],
    ['blanks only', ' \n', /frame 3 is empty/],
    ['a character too few', 'QUJDQ', /5 characters leave one over, after offset 4/],
    ['padding of the wrong length', 'QUJDQQ=', /character "=" at offset 6/],
    ['padding in the middle', 'QQ==QUJD', /character "=" at offset 2/],
    ['padding only', '====', /character "=" at offset 0/],
    ['too much padding', 'QQ===', /character "=" at offset 2/],
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

  test('yields to the event loop, also across many small texts', async () => {
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
