/** The command `frames`: writes the frames that the model sees. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

import { extractFrames } from '../run/frames.ts'
import {
  type Command,
  frameRuleOption,
  frameRuleUsage,
  type Io,
  integerOption,
  numberOption,
  parse,
  UsageError,
} from './command.ts'
import { contactSheet } from './contact-sheet.ts'
import { clipFrame, writePng } from './png.ts'
import { videoArgument } from './video-argument.ts'

const usage = `Usage: cosmos-embed frames FILE|URL --out DIR [OPTIONS]

Writes the frames that the model would see: frame-0.png … at their own size, contact-sheet.png, and frames.json with the
index and time of each frame and what decoding took.

  --out DIR              output folder, created if missing (required)
  --clip                 also write clip-0.png …, the resized frames as the model gets them (default: off)
  --frames T             number of frames (default: 8)
  --resolution R         width and height of the resized frames in pixels (default: 224)
  --start S              start of the range to sample, in seconds (default: 0)
  --end S                end of the range to sample, in seconds (default: the end of the video)
${frameRuleUsage}
  --frame-tolerance S    let frames move by up to S seconds to ones that are cheaper to decode (default: 0)
`

const options = {
  out: { type: 'string' },
  clip: { type: 'boolean' },
  frames: { type: 'string' },
  resolution: { type: 'string' },
  start: { type: 'string' },
  end: { type: 'string' },
  'frame-rule': { type: 'string' },
  'frame-tolerance': { type: 'string' },
} as const

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, options)
  const [file] = positionals
  if (file === undefined || positionals.length !== 1) throw new UsageError('expected exactly one FILE')
  if (values.out === undefined) throw new UsageError('--out DIR is missing')

  const frames = integerOption('frames', values.frames, 1) ?? 8
  const resolution = integerOption('resolution', values.resolution, 1) ?? 224
  const start = numberOption('start', values.start, 0)
  const end = numberOption('end', values.end, 0)
  const frameRule = frameRuleOption(values['frame-rule'])
  const frameTolerance = numberOption('frame-tolerance', values['frame-tolerance'], 0)
  const extracted = await extractFrames(videoArgument(file), {
    frames,
    resolution,
    ...(start !== undefined && { start }),
    ...(end !== undefined && { end }),
    ...(frameRule !== undefined && { frameRule }),
    ...(frameTolerance !== undefined && { frameTolerance }),
    signal: io.signal,
  })

  const out = values.out
  await mkdir(out, { recursive: true })
  const columns = Math.min(4, extracted.images.length)
  await writePng(path.join(out, 'contact-sheet.png'), contactSheet(extracted.images, columns, 180))
  for (const [index, image] of extracted.images.entries()) {
    await writePng(path.join(out, `frame-${index}.png`), image)
    if (values.clip) {
      await writePng(path.join(out, `clip-${index}.png`), clipFrame(extracted.clip, index, resolution))
    }
  }
  const record = { source: file, ...extracted.media, frames: extracted.frames, warnings: extracted.warnings }
  await writeFile(path.join(out, 'frames.json'), `${JSON.stringify(record, null, 2)}\n`)

  const { width, height, codec, frameCount, decoded, discarded } = extracted.media
  for (const { message } of extracted.warnings) io.stderr.write(`warning: ${message}\n`)
  io.stderr.write(
    `${file}: ${codec} ${width}×${height}, ${frameCount} frames; ` +
      `decoded ${decoded} and skipped ${discarded} for frames ` +
      `${extracted.frames.map(({ index }) => index).join(' ')}\nwrote ${out}\n`,
  )
  return 0
}

export const command: Command = {
  name: 'frames',
  usage,
  run,
}
