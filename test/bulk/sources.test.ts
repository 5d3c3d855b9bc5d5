import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parquetWriteFile } from 'hyparquet-writer'
import { beforeAll, describe, expect, it } from 'vitest'
import { openSources, type Planned } from '../../src/bulk/index.ts'
import { temporaryFolder } from './support.ts'

const folder = temporaryFolder()
const at = (...parts: string[]) => path.join(folder, ...parts)

beforeAll(() => {
  for (const name of [
    'v/b.mp4',
    'v/a.MKV',
    'v/deep/c.webm',
    'v/notes.txt',
    'v/.hidden.mp4',
    'v/odd, "name".mp4',
  ]) {
    mkdirSync(path.dirname(at(name)), { recursive: true })
    writeFileSync(at(name), '')
  }
  symlinkSync(at('v'), at('v/deep/circle'))
  symlinkSync(at('v/gone.mp4'), at('v/broken.mp4'))
})

async function planned(words: string[], stdin = ''): Promise<Planned[]> {
  await using opened = await openSources(words, { stdin: one(Buffer.from(stdin)) })
  const found: Planned[] = []
  for (const source of opened.sources) {
    const first: Planned[] = []
    for await (const item of source.items()) first.push(item)
    // A source is read twice: for the survey and for the run.
    const again: Planned[] = []
    for await (const item of source.items()) again.push(item)
    expect(again.map(nameOf)).toEqual(first.map(nameOf))
    found.push(...first)
  }
  return found
}

async function* one(chunk: Uint8Array) {
  yield chunk
}

const nameOf = (item: Planned) => ('problem' in item ? `${item.key}: ${item.problem.message}` : item.id)
const ids = async (words: string[], stdin?: string) => (await planned(words, stdin)).map(nameOf)

describe('sources', () => {
  it('a folder stands for every video below it, with links in it', async () => {
    expect(await ids([at('v')])).toEqual(
      ['v/a.MKV', 'v/b.mp4', 'v/deep/c.webm', 'v/odd, "name".mp4'].map((n) => at(n)),
    )
  })

  it('a pattern, a video, a URL', async () => {
    const words = [at('v/*.mp4'), at('v/deep/c.webm'), 'https://user:secret@host/a.mp4#part']
    expect(await ids(words)).toEqual([
      at('v/b.mp4'),
      at('v/odd, "name".mp4'),
      at('v/deep/c.webm'),
      'https://host/a.mp4',
    ])
  })

  it.each([
    ['no such file', ['nowhere.mp4'], 'there is no file or folder "nowhere.mp4"'],
    ['no match', ['no*.mp4'], 'no file matches "no*.mp4"'],
    ['standard input twice', ['-', '-'], 'standard input can be read only once'],
  ])('%s is refused', async (_, words, message) => {
    await expect(openSources(words, { stdin: one(Buffer.from('')) })).rejects.toThrow(message)
  })

  it('standard input may contain paths, URLs and JSON rows', async () => {
    const stdin = `${at('v/b.mp4')}\n\n{"id": 7, "text": "a car"}\r\n{"id": \nhttps://host/v.mp4?sig=secret\nhttps://host/w.mp4`
    expect(await ids(['-'], stdin)).toEqual([
      at('v/b.mp4'),
      '7',
      'standard input:4: the line is not a JSON object',
      expect.stringMatching(/^standard input:5: https:\/\/host\/v\.mp4 has a query.*give the row an "id"/),
      'https://host/w.mp4',
    ])
  })
})

it('reading an endless standard input can be aborted', async () => {
  const controller = new AbortController()
  const endless = (async function* () {
    for (;;) {
      yield Buffer.from('a.mp4\n')
      await new Promise((resolve) => setImmediate(resolve))
      controller.abort('enough')
    }
  })()
  await expect(openSources(['-'], { stdin: endless, signal: controller.signal })).rejects.toBe('enough')
})

describe('a manifest', () => {
  const rows = [
    { id: 'one', video: 'v/b.mp4', start: 1, end: 2.5, tag: 'ü, "x"' },
    { id: 'two', video: 'https://host/v.mp4?sig=secret', start: null, end: null, tag: null },
    { id: null, video: 'v/b.mp4', start: 3, end: null, tag: 'y' },
  ]
  const cell = (value: unknown) => (value === null ? '' : `"${`${value}`.replaceAll('"', '""')}"`)
  const writers: Record<string, (file: string) => void> = {
    jsonl: (file) => writeFileSync(file, `\uFEFF${rows.map((row) => JSON.stringify(row)).join('\n')}`),
    csv: (file) => {
      const lines = rows.map((row) => Object.values(row).map(cell).join(','))
      writeFileSync(file, `\uFEFFid,video,start,end,tag\r\n${lines.join('\r\n')}\r\n`)
    },
    parquet: (file) =>
      parquetWriteFile({
        filename: file,
        rowGroupSize: 2,
        columnData: [
          { name: 'id', data: rows.map(({ id }) => id), type: 'STRING' },
          { name: 'video', data: rows.map(({ video }) => video), type: 'STRING' },
          { name: 'start', data: rows.map(({ start }) => start), type: 'DOUBLE' },
          { name: 'end', data: rows.map(({ end }) => end), type: 'DOUBLE' },
          { name: 'tag', data: rows.map(({ tag }) => tag), type: 'STRING' },
        ],
      }),
  }
  it.each(Object.keys(writers))('as .%s', async (format) => {
    const file = at(`list.${format}`)
    writers[format]?.(file)
    expect(await planned([file])).toEqual([
      {
        id: 'one',
        named: true,
        uri: at('v/b.mp4'),
        input: { video: at('v/b.mp4'), start: 1, end: 2.5 },
        carried: { tag: 'ü, "x"' },
      },
      {
        id: 'two',
        named: true,
        // The query is a credential: it is used but not stored.
        uri: 'https://host/v.mp4',
        input: { video: new URL('https://host/v.mp4?sig=secret') },
        carried: { tag: null },
      },
      {
        id: `${at('v/b.mp4')}#t=3`,
        named: false,
        uri: at('v/b.mp4'),
        input: { video: at('v/b.mp4'), start: 3 },
        carried: { tag: 'y' },
      },
    ])
  })

  it('reports what is wrong with each bad row, and continues', async () => {
    const file = at('bad.jsonl')
    const bad: [unknown, RegExp][] = [
      [{}, /expected "video" with a path or a URL, or "text"/],
      [{ video: 'a', text: 'b' }, /both "video" and "text"/],
      [{ id: 'x', video: 'a', start: -1 }, /^x: .*bad\.jsonl:3: "start" must be seconds/],
      [{ video: 'a', end: 'soon' }, /"end" must be seconds, 0 or more, found "soon"/],
      [{ video: 'ftp://host/a.mp4' }, /ftp:\/\/ URL: expected a path, https/],
      [{ video: 'file://host/a.mp4' }, /file:\/\/ URL that names no local path/],
      [{ text: 'a', start: 1 }, /apply to videos only/],
      [{ video: 7n < 8 }, /expected "video"/],
      [[], /not a JSON object/],
      ['text', /not a JSON object/],
    ]
    writeFileSync(
      file,
      bad.map(([row]) => `${JSON.stringify(row)}\n`).join('') + JSON.stringify({ video: 'v/b.mp4' }),
    )
    const found = await ids([file])
    expect(found.length).toBe(bad.length + 1)
    for (const [index, [, message]] of bad.entries()) expect(found[index]).toMatch(message)
    expect(found.at(-1)).toBe(at('v/b.mp4'))
  })

  it('that was removed before it is read ends the run', async () => {
    for (const format of ['jsonl', 'csv', 'parquet']) {
      const file = at(`gone.${format}`)
      writers[format]?.(file)
      await using opened = await openSources([file])
      rmSync(file)
      const reading = async () => {
        for await (const _ of opened.sources[0]?.items() ?? []);
      }
      await expect(reading()).rejects.toMatchObject({
        code: 'source',
        message: expect.stringContaining(file),
      })
    }
  })

  it('that cannot be parsed ends the run, with its name in the error', async () => {
    writeFileSync(at('broken.parquet'), 'no Parquet')
    writeFileSync(at('broken.csv'), 'id,video\n"a,b\n')
    for (const name of ['broken.parquet', 'broken.csv']) {
      await expect(planned([at(name)])).rejects.toMatchObject({
        code: 'source',
        message: expect.stringContaining(at(name)),
      })
    }
  })

  it('has lines that end with a line feed only, whatever JSON has in its strings', async () => {
    const names = ['a\u2028b', 'c\u2029d', 'e\u0085f', 'g\u000bh', 'ü'.repeat(70_000), 'last']
    for (const end of ['\n', '\r\n']) {
      writeFileSync(at('odd.jsonl'), names.map((id) => JSON.stringify({ id, text: 'x' })).join(end))
      expect(await ids([at('odd.jsonl')])).toEqual(names)
    }
  })
})
