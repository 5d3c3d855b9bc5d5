/** The commands, called through `main` on real files. */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { decode } from 'fast-png'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { VERSION } from '../../src/base/version.ts'
import { main } from '../../src/cli/main.ts'
import { VectorCache } from '../../src/cli/vector-cache.ts'
import { run } from './support.ts'

const examples = fileURLToPath(new URL('../../examples/clips', import.meta.url))
const folder = mkdtempSync(path.join(tmpdir(), 'cli-'))
const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0
if (!hasFfmpeg) console.warn('tests of `frames` and of shots are skipped: they need the ffmpeg command')

let cacheBefore: string | undefined

beforeAll(() => {
  cacheBefore = process.env.XDG_CACHE_HOME
  process.env.XDG_CACHE_HOME = path.join(folder, 'cache')
})

afterAll(() => {
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME
  else process.env.XDG_CACHE_HOME = cacheBefore
  rmSync(folder, { recursive: true, force: true })
})

describe('the command line', () => {
  test('lists the commands and fails without a command', async () => {
    const { code, stderr } = await run([])
    expect(code).toBe(2)
    for (const name of ['embed', 'search', 'frames', 'doctor']) expect(stderr).toContain(name)
  })

  test.each([
    [['frobnicate'], 'no command "frobnicate"'],
    [['search', examples], 'expected FOLDER or DEST, and one "text"'],
    [['search', path.join(examples, 'nowhere'), 'x'], 'is not a folder'],
    [['search', examples, 'x', '--top', '0'], '--top: expected a number of at least 1, found "0"'],
    [
      ['search', examples, 'x', '--frame-rule', 'vss'],
      '--frame-rule: expected card, curator, rounded, found "vss"',
    ],
    [['search', examples, 'x', '--top', '1.5'], '--top: expected a whole number, found "1.5"'],
    [['frames', 'a.mp4'], '--out DIR is missing'],
    [['embed'], 'expected at least one FILE or TEXT'],
    [['embed', 'x', '--request-type', 'bulk'], '--request-type: expected query, bulk_text, bulk_video'],
    [['embed', 'x', '--device', 'gpu'], '--device: expected auto, cpu or cuda, found "gpu"'],
    [['embed', 'x', '--no-such-option'], '--no-such-option'],
  ])('%j is refused with exit code 2', async (argv, message) => {
    const { code, stdout, stderr } = await run(argv)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })

  test('--version prints the version of the package', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' })
  })

  test('every command has a help text that names its options', async () => {
    for (const [name, option] of [
      ['embed', '--request-type'],
      ['search', '--top'],
      ['frames', '--clip'],
      ['doctor', '--json'],
    ] as const) {
      for (const argv of [
        [name, '--help'],
        ['help', name],
      ]) {
        const { code, stdout, stderr } = await run(argv)
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
        expect(stdout).toContain(option)
      }
    }
  })

  test('requested help goes to standard output', async () => {
    for (const argv of [['--help'], ['help'], ['-h']]) {
      const { code, stdout, stderr } = await run(argv)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain('search')
    }
    expect((await run(['help', 'frobnicate'])).code).toBe(2)
  })
})

describe('doctor', () => {
  test('passes on a working machine, as text and as JSON', async () => {
    const { code, stdout } = await run(['doctor', '--json'])
    const { version, findings } = JSON.parse(stdout) as {
      version: string
      findings: { check: string; state: string }[]
    }
    expect(version).toBe(VERSION)
    expect(findings.filter(({ state }) => state === 'failed')).toEqual([])
    expect(findings.map(({ check }) => check)).toContain('ONNX Runtime')
    expect(code).toBe(0)
  })

  test('a broken bundle is a finding with its fix, and exit code 1', async () => {
    const { code, stdout } = await run(['doctor', '--model', path.join(folder, 'no-bundle')])
    expect(code).toBe(1)
    expect(stdout).toMatch(/failed embedding: .*no-bundle/)
    expect(stdout).toContain('→')
  })
})

describe('search', () => {
  test('ranks by the text; a moved file is not embedded again, an edited one is', async () => {
    const videos = path.join(folder, 'videos')
    cpSync(path.join(examples, 'red-circle.mp4'), path.join(videos, 'a.mp4'))
    cpSync(path.join(examples, 'yellow-star.webm'), path.join(videos, 'deep', 'b.webm'))
    cpSync(path.join(examples, 'green-triangle.mp4'), path.join(videos, 'c.mp4'))
    writeFileSync(path.join(videos, 'broken.mp4'), 'not a video')

    const first = await run(['search', videos, 'a red circle', '--json', '--top', '2'])
    const ranking = JSON.parse(first.stdout) as {
      hits: { file: string; score: number }[]
      failed: { file: string; code: string; message: string }[]
    }
    expect(first.code, 'a file was not embedded').toBe(1)
    expect(ranking.hits.map(({ file }) => path.basename(file))[0]).toBe('a.mp4')
    expect(ranking.hits).toHaveLength(2)
    expect(ranking.hits[0]?.score).toBeGreaterThan(ranking.hits[1]?.score ?? 1)
    expect(ranking.failed).toEqual([
      { file: path.join(videos, 'broken.mp4'), code: 'media', message: expect.any(String) },
    ])
    rmSync(path.join(videos, 'broken.mp4'))

    cpSync(path.join(videos, 'a.mp4'), path.join(videos, 'moved.mp4'))
    rmSync(path.join(videos, 'a.mp4'))
    const second = await run(['search', videos, 'a yellow star'])
    expect(second.code).toBe(0)
    expect(second.stderr).toBe('')
    expect(second.stdout).toContain('among 3 videos (3 cached)')
    expect(second.stdout).toMatch(/1\s+0\.\d+\s+deep\/b\.webm/)

    cpSync(path.join(examples, 'blue-circle.webm'), path.join(videos, 'c.mp4'))
    expect((await run(['search', videos, 'x'])).stdout).toContain('(2 cached)')
    const curator = ['search', videos, 'x', '--frame-rule', 'curator']
    expect((await run(curator)).stdout).toContain('(0 cached)')
    expect((await run(curator)).stdout).toContain('(3 cached)')
    expect((await run(['search', videos, 'x'])).stdout).toContain('(3 cached)')
  })

  test.skipIf(!hasFfmpeg)('--shots ranks the shots of the videos, and names their seconds', async () => {
    const films = path.join(folder, 'films')
    mkdirSync(films)
    const film = path.join(films, 'film.mp4')
    const source = 'color=red:r=30:s=96x64,trim=end_frame=32[a];testsrc2=r=30:s=96x64:d=2[b];[a][b]concat'
    spawnSync('ffmpeg', ['-v', 'error', '-filter_complex', source, '-pix_fmt', 'yuv420p', film])

    const found = await run(['search', films, 'x', '--shots', '--json'])
    expect(found.code).toBe(0)
    const { hits } = JSON.parse(found.stdout) as { hits: { start: number; end: number }[] }
    expect(hits.map(({ start, end }) => [start, end]).sort()).toEqual([
      [0, expect.closeTo(16 / 15, 6)],
      [expect.closeTo(16 / 15, 6), expect.closeTo(46 / 15, 6)],
    ])
    const page = path.join(folder, 'shots.html')
    const again = await run(['search', films, 'x', '--shots', '--page', page])
    expect(again.stdout).toContain('among 2 shots of 1 videos (1 cached)')
    expect(again.stdout).toMatch(/film\.mp4#t=0,1\.067$/m)
    expect(again.stdout).toMatch(/film\.mp4#t=1\.067,3\.067$/m)
    expect(readFileSync(page, 'utf8')).toContain('from 1.067 s to 3.067 s')
    expect((await run(['search', films, 'x'])).stdout).toContain('among 1 videos (0 cached)')
  })

  test('follows links and enters each folder once', async () => {
    const [real, linked] = [path.join(folder, 'real'), path.join(folder, 'linked')]
    cpSync(path.join(examples, 'red-circle.mp4'), path.join(real, 'a.mp4'))
    mkdirSync(linked)
    symlinkSync(path.join(real, 'a.mp4'), path.join(linked, 'a.mp4'))
    symlinkSync(path.join(folder, 'nowhere.mp4'), path.join(linked, 'gone.mp4'))
    symlinkSync(real, path.join(linked, 'again'))
    symlinkSync(linked, path.join(real, 'circle'))
    const { code, stdout } = await run(['search', linked, 'x', '--json'])
    const { hits } = JSON.parse(stdout) as { hits: { file: string }[] }
    expect(code).toBe(0)
    expect(hits.map(({ file }) => path.relative(linked, file)).sort()).toEqual(['a.mp4', 'again/a.mp4'])
  })

  test('recognises an unchanged file by its size and times without reading it', async () => {
    const cache = new VectorCache('a model', 4)
    const file = path.join(folder, 'content.bin')
    writeFileSync(file, 'first')
    const { signal } = new AbortController()
    const key = await cache.keyOf(file, signal)
    // An aborted signal stops reading a file, but a known hash needs no reading.
    expect(await cache.keyOf(file, AbortSignal.abort('stopped'))).toBe(key)
    writeFileSync(file, 'other')
    await expect(cache.keyOf(file, AbortSignal.abort('stopped'))).rejects.toBe('stopped')
    expect(await cache.keyOf(file, signal)).not.toBe(key)
  })

  test('an aborted search counts no video as done', async () => {
    const written: string[] = []
    const stop = new AbortController()
    const io = {
      stdout: { write: () => {} },
      stderr: { write: (text: string) => written.push(text), isTTY: true, columns: 200 },
      signal: stop.signal,
    }
    stop.abort(new Error('interrupted'))
    expect(await main(['search', examples, 'x'], io)).toBe(130)
    expect(written.join('')).not.toMatch(/ [1-9]\d*\/\d+/)
  })

  test('reports a folder without videos', async () => {
    const { code, stderr } = await run(['search', path.join(folder, 'cache'), 'anything'])
    expect(code).toBe(1)
    expect(stderr).toContain('no video below')
  })
})

describe('embed', () => {
  test('embeds files and texts as JSON; a bad file fails the command but not the other items', async () => {
    const red = path.join(examples, 'red-circle.mp4')
    const broken = path.join(folder, 'broken.mp4')
    writeFileSync(broken, Buffer.alloc(5000, 7))
    const { code, stdout } = await run(['embed', red, 'a red circle', broken, '--json'])
    const { model, data } = JSON.parse(stdout) as {
      model: string
      data: { input: string; embedding?: number[]; error?: string; frames?: object[]; tokens?: number }[]
    }
    expect(model).toBe('cosmos-embed-demo')
    expect(data.map(({ input }) => input)).toEqual([red, 'a red circle', broken])
    expect(data[0]?.embedding).toHaveLength(256)
    expect(data[0]?.frames).toHaveLength(8)
    expect(data[1]?.tokens).toBeGreaterThan(3)
    expect(data[2]?.error).toBeTypeOf('string')
    expect(code).toBe(1)
  })

  test('reports how each argument was read', async () => {
    const red = path.join(examples, 'red-circle.mp4')
    const { code, stdout, stderr } = await run(['embed', red, 'a red circle', '24/7 news', '-'], undefined, [
      readFileSync(red),
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const taken = stdout.split('\n').map((line) => /^#\d +(standard input|video|text) /.exec(line)?.[1])
    expect(taken.filter((kind) => kind !== undefined)).toEqual(['video', 'text', 'text', 'standard input'])
    // The same file by name and on standard input.
    expect(stdout.split('\n')[1]).toMatch(/1\.000$/)
  })

  test.each([
    ['clip.mp4', 'there is no file "clip.mp4"'],
    ['./clip', 'there is no file'],
    ['/no/such/thing', 'there is no file'],
    ['clips/a', 'there is no file'],
    ['C:\\a.mp4', 'there is no file'],
    ['~/a b.mov', 'there is no file'],
    ['*.mp4', 'no file matches "*.mp4"'],
    ['none/**/x.{mp4,mkv}', 'no file matches'],
    ['s3://bucket/a.mp4', 'cannot be read: expected https://'],
    ['rtsp://camera/1', 'cannot be read'],
    ['data:;base64,AAAA', 'is a data URI'],
    [' data:video/mp4;base64,AAAA', 'is a data URI'],
    [examples, 'is a folder'],
  ])('%j is refused as a text, unless --text is given', async (word, message) => {
    const refused = await run(['embed', word])
    expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 2, stdout: '' })
    expect(refused.stderr).toContain(message)
    const taken = await run(['embed', word, '--text', '--json'])
    expect(taken.code).toBe(0)
    expect(JSON.parse(taken.stdout)).toMatchObject({ data: [{ input: word, kind: 'text' }] })
  })

  test('expands patterns to the files that they match', async () => {
    const pattern = path.join(examples, '{red,blue}-c[a-i]rcle.*')
    const { code, stdout } = await run(['embed', pattern, '--json'])
    expect(code).toBe(0)
    const { data } = JSON.parse(stdout) as { data: { input: string; kind: string }[] }
    expect(data.map(({ input, kind }) => [path.basename(input), kind])).toEqual([
      ['blue-circle.webm', 'video'],
      ['red-circle.mp4', 'video'],
    ])
  })

  test('--request-type sends one documented request', async () => {
    const { code, stdout } = await run([
      ...['embed', 'a star', 'a ring', '--request-type', 'bulk_text'],
      ...['--encoding-format', 'base64'],
    ])
    const response = JSON.parse(stdout) as { object: string; data: { index: number; embedding: string }[] }
    expect(code).toBe(0)
    expect(response.object).toBe('list')
    expect(response.data.map(({ index }) => index)).toEqual([0, 1])
    for (const { embedding } of response.data) expect(Buffer.from(embedding, 'base64')).toHaveLength(1024)
  })

  test('a request that breaks the contract exits with 1 and says why', async () => {
    const { code, stderr } = await run(['embed', 'only text', '--request-type', 'bulk_video'])
    expect(code).toBe(1)
    expect(stderr).toContain('[invalid_request]')
  })
})

describe.skipIf(!hasFfmpeg)('frames', () => {
  const video = path.join(folder, 'seven.mp4')

  beforeAll(() => {
    const source = 'testsrc2=size=160x90:rate=7:duration=1,format=yuv444p,pad=161:91'
    const result = spawnSync('ffmpeg', [
      '-v',
      'error',
      '-f',
      'lavfi',
      '-i',
      source,
      '-pix_fmt',
      'yuv444p',
      video,
    ])
    expect(result.status, String(result.stderr)).toBe(0)
  })

  test('writes the frames, the resized frames, a contact sheet and frames.json', async () => {
    const out = path.join(folder, 'frames')
    const { code, stdout, stderr } = await run([
      'frames',
      video,
      '--out',
      out,
      '--clip',
      '--resolution',
      '64',
    ])
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain('161×91')

    const record = JSON.parse(readFileSync(path.join(out, 'frames.json'), 'utf8')) as {
      frameCount: number
      frames: { index: number; pts: number; keyframe: boolean }[]
    }
    expect(record.frameCount).toBe(7)
    expect(record.frames.map(({ index }) => index)).toEqual([0, 0, 1, 2, 3, 4, 5, 6])
    expect(record.frames[7]?.pts).toBeCloseTo(6 / 7, 3)
    expect(record.frames[0]?.keyframe).toBe(true)

    const size = (name: string) => {
      const { width, height } = decode(readFileSync(path.join(out, name)))
      return `${width}×${height}`
    }
    expect(size('frame-0.png')).toBe('161×91')
    expect(size('clip-7.png')).toBe('64×64')
    expect(existsSync(path.join(out, 'frame-8.png'))).toBe(false)
    expect(size('contact-sheet.png')).toMatch(/^\d+×\d+$/)
  })

  test('another frame rule selects other frames', async () => {
    const out = path.join(folder, 'frames-rule')
    await run(['frames', video, '--out', out, '--frame-rule', 'rounded'])
    const record = JSON.parse(readFileSync(path.join(out, 'frames.json'), 'utf8')) as {
      frames: { index: number }[]
    }
    expect(record.frames.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 6])
  })

  test('a range selects only frames of that range', async () => {
    const out = path.join(folder, 'range')
    await run(['frames', video, '--out', out, '--start', '0.5', '--frames', '2'])
    const record = JSON.parse(readFileSync(path.join(out, 'frames.json'), 'utf8')) as {
      frames: { pts: number }[]
    }
    expect(record.frames.map(({ pts }) => Math.round(pts * 7))).toEqual([4, 6])
  })

  test('a file that is not a video fails with the reason', async () => {
    const { code, stderr } = await run([
      'frames',
      fileURLToPath(import.meta.url),
      '--out',
      path.join(folder, 'none'),
    ])
    expect(code).toBe(1)
    expect(stderr).toMatch(/\[media\]/)
  })

  test('an interrupted command says so and exits with 130', async () => {
    const signal = AbortSignal.abort(new Error('interrupted'))
    expect((await run(['frames', video, '--out', folder], signal)).code).toBe(130)
  })
})
