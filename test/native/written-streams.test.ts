/** Streams that no encoder of FFmpeg writes: VC-1, and HEVC with pictures that are decoded and not shown. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { discardEarlierPictures, hideSomePictures } from '../../scripts/compare/hevc-edits.mjs'
import { timesOfVc1, writeVc1, written } from '../../scripts/compare/vc1.mjs'
import { extractFrames } from '../../src/run/frames.ts'
import { noFfmpeg } from './support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function ffmpeg(...args: string[]): void {
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** Reads the number that vc1.mjs draws: a macroblock a bit, least significant first. */
function numberIn(image: { width: number; data: Uint8Array }): number {
  let number = 0
  for (let bit = 0; bit < written.width / 16; bit += 1) {
    const level = image.data[3 * (8 * image.width + 16 * bit + 8)] ?? 0
    if (level > 128) number |= 1 << bit
  }
  return number
}

describe.skipIf(noFfmpeg)('VC-1', () => {
  const count = 40
  const cases = (['advanced', 'main'] as const).flatMap((profile) =>
    [0, 2].flatMap((between) =>
      (profile === 'advanced' ? ['mp4', 'mkv', 'ts', 'asf', 'avi'] : ['mkv', 'asf', 'avi'])
        // ASF stores one time, which muxers and demuxers take for different ones.
        .filter((container) => container !== 'asf' || between === 0)
        .flatMap((container) =>
          ['right times', 'times of decoding']
            .filter((times) => times === 'right times' || (between > 0 && /^m/.test(container)))
            .map((times) => ({ profile, between, container, times })),
        ),
    ),
  )

  it.each(cases)('$profile profile, $between B pictures, in $container with $times', async (one) => {
    const { profile, between, container, times } = one
    const name = path.join(folder, `${profile}-${between}`)
    const stream = { profile, between, count, gop: 4, rate: 25 }
    const elementary = `${name}.${profile === 'advanced' ? 'vc1' : 'rcv'}`
    writeFileSync(elementary, writeVc1(stream))
    // The demuxers of elementary streams give no right times, and say that every picture is a keyframe.
    ffmpeg('-i', elementary, '-c', 'copy', '-bsf:v', 'setts=pts=N:dts=N', `${name}-untimed.nut`)
    ffmpeg('-i', `${name}-untimed.nut`, '-c', 'copy', '-bsf:v', timesOfVc1(stream), `${name}.nut`)
    const video = `${name}-${times}.${container}`
    const filter = times === 'right times' ? 'null' : 'setts=pts=DTS'
    ffmpeg('-i', `${name}.nut`, '-c', 'copy', '-bsf:v', filter, video)

    const { frames, images, media, warnings } = await extractFrames(video, { frames: 9, resolution: 8 })
    expect(media.frameCount).toBe(count)
    expect(images.map(numberIn)).toEqual(frames.map(({ index }) => index))
    expect(warnings).toEqual([])
    if (container === 'avi' || (container === 'asf' && profile === 'advanced')) return
    for (const { index, pts } of frames) expect(pts).toBeCloseTo(index / 25, 2)
  })
})

describe.skipIf(noFfmpeg)('HEVC', () => {
  let plain: string
  beforeAll(() => {
    plain = path.join(folder, 'plain.hevc')
    const parameters =
      'log-level=none:pools=none:keyint=5:min-keyint=5:scenecut=0:bframes=3:b-adapt=0:open-gop=0'
    const source = ['-f', 'lavfi', '-i', 'testsrc2=s=96x64:r=25:d=2']
    ffmpeg(...source, '-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', parameters, plain)
  })

  it.each([
    ['pictures that are only references', hideSomePictures],
    ['pictures that a later one has discarded', discardEarlierPictures],
  ])('%s are no frames', async (_, edit) => {
    const video = path.join(folder, `${edit.name}.hevc`)
    writeFileSync(video, edit(readFileSync(plain)))
    const hashes = execFileSync('ffmpeg', ['-v', 'quiet', '-i', video, '-f', 'framemd5', '-'])
    const shown = hashes.toString().match(/^0,/gm)?.length ?? 0
    expect(shown).toBeLessThan(50)
    const { frames, media, warnings } = await extractFrames(video, {
      frames: 7,
      resolution: 8,
      images: false,
    })
    expect(media.frameCount).toBe(shown)
    expect(frames.at(-1)?.index).toBe(shown - 1)
    expect(warnings).toEqual([])
  })
})
