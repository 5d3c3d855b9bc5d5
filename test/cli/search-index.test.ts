/** `cosmos-embed search` in an index, and its page, with the demo model on real files. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { decode } from 'fast-png'
import { beforeAll, describe, expect, test } from 'vitest'
import { temporaryFolder } from '../bulk/support.ts'
import { run } from './support.ts'

const examples = fileURLToPath(new URL('../../examples/clips', import.meta.url))
const folder = temporaryFolder()
const videos = path.join(folder, 'videos')
mkdirSync(videos)
for (const name of ['red-circle.mp4', 'blue-circle.webm', 'green-triangle.mp4']) {
  cpSync(path.join(examples, name), path.join(videos, name))
}
const [index, lines] = [path.join(folder, 'index'), path.join(folder, 'lines.jsonl')]

/** The pictures in a page. */
const picturesIn = (html: string) =>
  [...html.matchAll(/src="data:image\/png;base64,([^"]+)"/g)].map(([, data]) =>
    decode(Buffer.from(data as string, 'base64')),
  )

beforeAll(async () => {
  const manifest = path.join(folder, 'list.jsonl')
  const rows = [
    { id: 'r', video: path.join(videos, 'red-circle.mp4'), tag: '<b>' },
    { id: 'b&b', video: path.join(videos, 'blue-circle.webm') },
    { id: 'gone', video: path.join(videos, 'green-triangle.mp4') },
    { id: 'a text', text: 'a green triangle' },
  ]
  writeFileSync(manifest, rows.map((row) => JSON.stringify(row)).join('\n'))
  expect((await run(['index', manifest, '--out', index, '--frame-rule', 'curator'])).code).toBe(0)
  expect((await run(['index', manifest, '--out', lines, '--window', '1'])).code).toBe(0)
  writeFileSync(path.join(videos, 'green-triangle.mp4'), 'no longer a video')
})

describe('cosmos-embed search DEST', () => {
  test('ranks the rows of a folder by a text, with the frame rule of the index', async () => {
    const { code, stdout, stderr } = await run(['search', index, 'a red circle', '--top', '2'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/# +score +"a red circle" among 4 vectors\n1 +0\.\d{3} +r +\S+red-circle\.mp4\n2 /)
    const { hits, ...rest } = JSON.parse((await run(['search', index, 'a red circle', '--json'])).stdout)
    expect(rest).toEqual({ query: 'a red circle', model: expect.any(String), rows: 4 })
    expect(hits).toHaveLength(4)
    expect(hits[0]).toEqual({
      ...{ id: 'r', item: 'r', uri: path.join(videos, 'red-circle.mp4'), start: 0, end: null },
      ...{ warnings: [], carried: { tag: '<b>' }, score: expect.closeTo(hits[0].score) },
    })
  })

  test('ranks windows, and writes a page with a picture of every video that can be read', async () => {
    const page = path.join(folder, 'page.html')
    const { code, stdout, stderr } = await run([
      'search',
      lines,
      'a "red" circle',
      '--top',
      '99',
      '--page',
      page,
    ])
    expect(code).toBe(0)
    expect(stdout).toMatch(/1 +0\.\d{3} +r#t=\d,\d +\S+red-circle\.mp4/)
    expect(stderr).toMatch(/no picture of \S+green-triangle\.mp4: .*\nwrote \S+page\.html\n$/s)
    const html = readFileSync(page, 'utf8')
    expect(html).toContain('b&amp;b')
    expect(html).toContain('a &quot;red&quot; circle')
    expect(html).toContain(`href="file://${path.join(videos, 'red-circle.mp4')}#t=0,1"`)
    const pictures = picturesIn(html)
    const figures = html.match(/<figure>/g)?.length ?? 0
    const withoutPicture = html.match(/class="none"/g)?.length ?? 0
    expect(pictures.length).toBeGreaterThan(2)
    expect(pictures.length).toBe(figures - withoutPicture)
    for (const { height } of pictures) expect(height).toBe(180)
    expect(html).toContain('<div class="none">text</div>')
  })

  test('also writes a page for a folder of videos', async () => {
    const page = path.join(folder, 'folder.html')
    await run(['search', videos, 'a circle', '--page', page])
    expect(picturesIn(readFileSync(page, 'utf8'))).toHaveLength(2)
  })

  test('refuses a text of another model', async () => {
    const other = path.join(folder, 'other')
    cpSync(index, other, { recursive: true })
    const file = path.join(other, '_index.json')
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"fingerprint": "\w+"/, '"fingerprint": "ffff"'))
    const { code, stderr } = await run(['search', other, 'x'])
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /with the fingerprint ffff, but this model is .*: name the folder of the index's model with --model/,
    )
  })

  test.each([
    [['search', index, 'x', '--frame-rule', 'card'], '--frame-rule: an index has its own'],
    [['search', videos, 'x', '--table', 't'], '--table:'],
    [['search', path.join(folder, 'none.jsonl'), 'x'], 'is not an index that cosmos-embed has written'],
    [['search', path.join(folder, 'none'), 'x'], 'is not a folder'],
  ])('%j is refused with exit code 2', async (argv, message) => {
    const { code, stderr } = await run(argv)
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(message) })
  })

  test('a page that cannot be written gives exit code 1', async () => {
    const { code, stderr } = await run(['search', index, 'x', '--page', path.join(folder, 'no', 'page.html')])
    expect(code).toBe(1)
    expect(stderr).toContain('page.html')
  })
})
