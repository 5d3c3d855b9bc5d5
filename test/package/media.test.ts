/** Every container and codec of docs/media.md: the FFmpeg of the package reads them as the FFmpeg of this system does. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { installedPackage, packed, run } from './support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-media-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const local = path.join(packed.root, 'build', 'Release', 'cosmos-embed.node')

/** File name → the codec that is reported, and the arguments with which ffmpeg writes it. */
const recipes: Record<string, { codec: string; args: string }> = {
  'h264.mp4': { codec: 'h264', args: '-c:v libx264' },
  'h264.ts': { codec: 'h264', args: '-c:v libx264' },
  'h264.flv': { codec: 'h264', args: '-c:v libx264' },
  'h264.h264': { codec: 'h264', args: '-c:v libx264' },
  'hevc.mkv': { codec: 'hevc', args: '-c:v libx265 -x265-params log-level=error' },
  'hevc.hevc': { codec: 'hevc', args: '-c:v libx265 -x265-params log-level=error' },
  'av1.webm': { codec: 'av1', args: '-c:v libsvtav1 -preset 12' },
  'vp8.webm': { codec: 'vp8', args: '-c:v libvpx -deadline realtime' },
  'vp9.ivf': { codec: 'vp9', args: '-c:v libvpx-vp9 -deadline realtime' },
  // A program stream does not name its codec, which is found by probing.
  'mpeg2.mpg': { codec: 'mpeg2video', args: '-c:v mpeg2video' },
  'mpeg1.mpg': { codec: 'mpeg1video', args: '-r 25 -c:v mpeg1video' },
  'mpeg4.mpg': { codec: 'mpeg4', args: '-c:v mpeg4 -f vob' },
  'mpeg2.ts': { codec: 'mpeg2video', args: '-c:v mpeg2video' },
  'mpeg4.avi': { codec: 'mpeg4', args: '-c:v mpeg4' },
  'mjpeg.avi': { codec: 'mjpeg', args: '-c:v mjpeg -pix_fmt yuvj420p' },
  'wmv2.wmv': { codec: 'wmv2', args: '-c:v wmv2' },
  'wmv1.wmv': { codec: 'wmv1', args: '-c:v wmv1' },
  'prores.mov': { codec: 'prores', args: '-c:v prores_ks -pix_fmt yuv422p10le' },
  'theora.ogg': { codec: 'theora', args: '-c:v libtheora' },
  'ffv1.mkv': { codec: 'ffv1', args: '-c:v ffv1' },
  'dv.dv': { codec: 'dvvideo', args: '-s 720x576 -r 25 -pix_fmt yuv420p -c:v dvvideo' },
  'raw.avi': { codec: 'rawvideo', args: '-c:v rawvideo' },
  'raw.y4m': { codec: 'rawvideo', args: '' },
  'moving.gif': { codec: 'gif', args: '-pix_fmt rgb8' },
  'moving.apng': { codec: 'apng', args: '-pix_fmt rgb24' },
}

describe('the package reads what the FFmpeg of this system reads', () => {
  it.for(Object.entries(recipes))('%s', { timeout: 120_000 }, ([name, { codec, args }], { skip }) => {
    const file = path.join(folder, name)
    const source = 'testsrc2=size=192x160:rate=10:duration=2'
    const made = spawnSync('ffmpeg', [
      ...['-hide_banner', '-loglevel', 'error', '-f', 'lavfi', '-i', source],
      ...['-pix_fmt', 'yuv420p', ...args.split(' ').filter(Boolean), file],
    ])
    if (made.status !== 0) skip(`this ffmpeg cannot write it: ${made.stderr ?? made.error?.message}`)
    const mine = framesOf(file)
    expect(mine.codec).toBe(codec)
    if (!existsSync(local)) return
    expect(mine).toEqual(framesOf(file, { COSMOS_EMBED_ADDON: local }))
  })
})

function framesOf(file: string, env: Record<string, string> = {}) {
  const out = mkdtempSync(path.join(folder, 'frames-'))
  const tool = path.join(installedPackage, 'dist', 'cli', 'bin.js')
  const outcome = run(process.execPath, [tool, 'frames', file, '--out', out], { env })
  expect(outcome.status, outcome.stderr).toBe(0)
  const { frames, container, codec, frameCount } = JSON.parse(
    readFileSync(path.join(out, 'frames.json'), 'utf8'),
  ) as {
    frames: { index: number; pts: number; keyframe: boolean }[]
    container: string
    codec: string
    frameCount: number
  }
  // Versions of FFmpeg use different time bases, and so round differently.
  const rounded = frames.map((frame) => ({ ...frame, pts: Number(frame.pts.toFixed(9)) }))
  return { frames: rounded, container, codec, frameCount }
}
