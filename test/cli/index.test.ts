/** `cosmos-embed index` through `main`, with the demo model on real files. */
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { main } from '../../src/cli/main.ts'
import { createEmbedder, similarity } from '../../src/index.ts'
import { storedRows, temporaryFolder } from '../bulk/support.ts'
import { run } from './support.ts'

const examples = fileURLToPath(new URL('../../examples/clips', import.meta.url))
const folder = temporaryFolder()
const videos = path.join(folder, 'videos')
mkdirSync(videos)
for (const name of ['red-circle.mp4', 'blue-circle.webm'])
  symlinkSync(path.join(examples, name), path.join(videos, name))
const out = path.join(folder, 'out')
const [red, blue] = [path.join(videos, 'red-circle.mp4'), path.join(videos, 'blue-circle.webm')]

describe('cosmos-embed index', () => {
  test('embeds the sources, lists what failed, and resumes when it is started again', async () => {
    writeFileSync(path.join(videos, 'broken.mp4'), 'no video')
    const first = await run(['index', videos, '--out', out])
    expect(first).toMatchObject({ code: 3, stdout: '' })
    expect(first.stderr).toMatch(/2 embedded, 1 failed, .*_errors\.jsonl lists what failed/s)
    const failures = readFileSync(path.join(out, '_errors.jsonl'), 'utf8')
    expect(JSON.parse(failures)).toMatchObject({
      key: path.join(videos, 'broken.mp4'),
      code: 'media',
      message: expect.any(String),
      retryable: false,
    })
    await using embedder = await createEmbedder()
    const { embedding } = await embedder.embedVideo(red)
    const rows = await storedRows(out)
    expect(rows.map(({ id, start, end }) => [id, start, end]).sort()).toEqual([
      [blue, 0, null],
      [red, 0, null],
    ])
    // The last bits of a vector depend on the batch that it was computed in.
    const stored = Float32Array.from(rows.find(({ id }) => id === red)?.embedding ?? [])
    expect(stored).toHaveLength(embedding.length)
    expect(similarity(stored, embedding)).toBeGreaterThan(0.99999)

    const status = await run(['index', 'status', out])
    expect(status.code).toBe(0)
    expect(status.stdout).toMatch(
      /vectors +2\n.*fingerprint +[0-9a-f]{32}\n.*failed in the last run +1\n +media +1/s,
    )

    rmSync(path.join(videos, 'broken.mp4'))
    const second = await run(['index', '-', videos, '--out', out], undefined, [
      Buffer.from(`${red}\n{"text":"a car"}`),
    ])
    expect(second.code).toBe(0)
    expect(second.stderr).toMatch(/1 embedded, 2 already in the index, 1 repeated, 0 failed/)
    expect(readFileSync(path.join(out, '_errors.jsonl'), 'utf8')).toBe('')

    const other = await run(['index', videos, '--out', out, '--frame-rule', 'curator'])
    expect(other.code).toBe(1)
    expect(other.stderr).toContain('holds other vectors')
  })

  test('writes one JSON line per window of a manifest’s videos', async () => {
    const manifest = path.join(folder, 'list.jsonl')
    writeFileSync(manifest, JSON.stringify({ id: 'r', video: red, tag: 'x' }))
    const lines = path.join(folder, 'lines.jsonl')
    const { code, stderr } = await run([
      'index',
      manifest,
      '--out',
      lines,
      '--window',
      '1',
      '--stride',
      '0.5',
    ])
    expect({ code, stderr: /vectors/.test(stderr) }).toEqual({ code: 0, stderr: true })
    const rows = await storedRows(lines)
    expect(rows.length).toBeGreaterThan(1)
    expect(rows[1]).toMatchObject({ id: 'r#t=0.5,1.5', item: 'r', uri: red, start: 0.5, end: 1.5, tag: 'x' })
    expect(rows[1]?.embedding.length).toBe(256)
  })

  test('writes one JSON line per shot, and no other shots beside them', async () => {
    const lines = path.join(folder, 'shots.jsonl')
    const { code } = await run(['index', red, '--out', lines, '--shots', '--shot-min', '0.3'])
    expect(code).toBe(0)
    const [row] = await storedRows(lines)
    expect(row).toMatchObject({ item: red, start: 0 })
    const { stdout } = await run(['index', 'status', lines])
    expect(stdout).toMatch(/^windows +shots of at least 0.3 s with a threshold of 14$/m)
    const other = await run(['index', red, '--out', lines, '--shots'])
    expect(other.code).toBe(1)
    expect(other.stderr).toContain('but this run has shots of at least 0.5 s')
  })

  test('--metrics-port serves the progress until the run ends', async () => {
    let told = ''
    const asking: Promise<void>[] = []
    const stderr = {
      write: (text: string) => {
        const address = /http:\S+\/metrics/.exec(text)?.[0]
        if (address === undefined) return
        asking.push(
          (async () => {
            told = await (await fetch(address)).text()
            expect((await fetch(address.replace('/metrics', '/'))).status).toBe(404)
            expect((await fetch(address, { method: 'POST' })).status).toBe(405)
          })(),
        )
      },
    }
    const words = ['index', videos, '--out', path.join(folder, 'watched'), '--metrics-port', '0']
    const signal = new AbortController().signal
    expect(await main(words, { stdout: { write: () => {} }, stderr, signal })).toBe(0)
    await Promise.all(asking)
    expect(asking.length).toBe(1)
    expect(told).toMatch(/^cosmos_embed_index_items_total\{outcome="embedded"\} \d+$/m)
    expect(told).toMatch(/^cosmos_embed_index_items_expected \d+$/m)
  })

  test('--dry-run counts the items without embedding them', async () => {
    const nowhere = path.join(folder, 'nowhere')
    const { code, stdout } = await run(['index', videos, '--out', nowhere, '--dry-run', '--window', '8'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/items +2\n.*one for each of: 8 s every 8 s\n.*nowhere, which is new/s)
    expect((await run(['index', 'status', nowhere])).code).toBe(2)
  })

  test.each([
    [['index'], 'expected at least one SOURCE'],
    [['index', videos], '--out DEST is missing'],
    [['index', videos, '--out', out, '--window', '0'], '--window: expected seconds above 0'],
    [['index', videos, '--out', out, '--stride', '1'], '--stride needs --window'],
    [['index', videos, '--out', out, '--shots', '--window', '1'], '--shots excludes --window and --stride'],
    [['index', videos, '--out', out, '--shot-min', '1'], '--shot-min needs --shots'],
    [['index', videos, '--out', out, '--shot-threshold', '9'], '--shot-threshold needs --shots'],
    [
      ['index', videos, '--out', out, '--shots', '--shot-threshold', '0'],
      '--shot-threshold: expected a number',
    ],
    [['index', videos, '--out', out, '--shard', '3/3'], '--shard: expected I/N'],
    [['index', videos, '--out', out, '--shard', 'auto/3'], 'JOB_COMPLETION_INDEX is not set'],
    [['index', videos, '--out', out, '--concurrency', '0'], '--concurrency'],
  ])('%j is refused with exit code 2', async (argv, message) => {
    const { code, stderr } = await run(argv)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })

  test('an impossible source or destination gives exit code 1', async () => {
    for (const argv of [
      ['index', path.join(folder, 'no.mp4'), '--out', out],
      ['index', videos, '--out', 'mysql://host/db'],
    ]) {
      expect((await run(argv)).code).toBe(1)
    }
  })
})
