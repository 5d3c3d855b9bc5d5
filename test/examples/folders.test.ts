/** The examples that read videos and print what they found. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { clip, clips, lines, start, videoNames } from './support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-examples-'))
afterAll(() => rmSync(folder, { recursive: true }))

function ffmpeg(args: string[]): void {
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-y', ...args], { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
}

describe('label-folder', () => {
  it('gives each video the label that describes it', async () => {
    const shapes = ['circle', 'square', 'triangle', 'star', 'heart', 'crescent', 'cross']
    const printed = await lines('label-folder/main.mjs', [clips, ...shapes.map((shape) => `a ${shape}`)])
    const rows = printed.map((line) => line.split('\t'))
    expect(rows.map(([file]) => file)).toEqual(videoNames.toSorted())
    const single = rows.filter(([file = '']) => file.split('-').length === 2)
    const right = single.filter(([file = '', label]) => label === `a ${/-(\w+)\./.exec(file)?.[1]}`)
    expect(single.length).toBeGreaterThan(7)
    expect(right.length).toBe(single.length)
    for (const [, , , margin] of rows) expect(Number(margin)).toBeGreaterThanOrEqual(0)
  })

  it('goes on after a file that is no video, and names it', async () => {
    writeFileSync(path.join(folder, 'broken.mp4'), 'no video')
    copyFileSync(clip('red-circle.mp4'), path.join(folder, 'good.mp4'))
    const program = start('label-folder/main.mjs', [folder, 'a star', 'a circle'])
    expect(await program.exit).toBe(0)
    expect(program.stdout()).toMatch(/^good\.mp4\ta circle\t/)
    expect(program.stderr()).toContain('broken.mp4: ')
    rmSync(path.join(folder, 'broken.mp4'))
  })
})

describe('near-duplicates', () => {
  it('finds copies that were scaled and encoded again', async () => {
    const library = mkdtempSync(path.join(folder, 'library-'))
    for (const name of videoNames) copyFileSync(clip(name), path.join(library, name))
    const small = path.join(library, 'small.mkv')
    ffmpeg(['-i', clip('pink-heart.mp4'), '-vf', 'scale=160:-2', '-q:v', '4', small])
    expect(await lines('near-duplicates/main.mjs', [library, '0.97'])).toEqual(['pink-heart.mp4\tsmall.mkv'])
  })
})

it('near-duplicates refuses a threshold that is no number', async () => {
  const program = start('near-duplicates/main.mjs', [folder, '97%'])
  expect(await program.exit).toBe(1)
  expect(program.stderr()).toContain('the threshold is "97%"')
})

describe('best-moment', () => {
  it('finds where a scene is in a long video', async () => {
    const scenes = ['cyan-cross.mp4', 'orange-square.mp4', 'pink-heart.mp4', 'red-circle.mp4']
    const long = path.join(folder, 'long.mkv')
    const same = (_: string, i: number) =>
      `[${i}]scale=224:224,fps=25,tpad=stop_mode=clone:stop_duration=5,trim=duration=3,setsar=1[v${i}]`
    const filter = `${scenes.map(same).join(';')};${scenes.map((_, i) => `[v${i}]`).join('')}concat=n=4[out]`
    ffmpeg([
      ...scenes.flatMap((name) => ['-i', clip(name)]),
      ...['-filter_complex', filter, '-map', '[out]', '-q:v', '3', long],
    ])
    const [best = '', ...others] = await lines('best-moment/main.mjs', [long, 'a pink heart', '3'])
    const [, start = '', end = ''] = /^0:(\S+) – 0:(\S+) {2}0\.\d+$/.exec(best) ?? []
    expect(Math.abs(Number(start) - 6), best).toBeLessThanOrEqual(1.5)
    expect(Number(end) - Number(start)).toBeCloseTo(3, 1)
    expect(others.length).toBeGreaterThan(0)
  })
})

it.each(['label-folder', 'near-duplicates', 'best-moment', 'pgvector'])(
  '%s says what it needs',
  async (name) => {
    const program = start(`${name}/main.mjs`)
    expect(await program.exit).toBe(1)
    expect(program.stderr()).toContain('Error: pass a ')
  },
)
