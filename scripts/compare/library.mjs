// The library's side of a comparison, in its own process, so that a crash is a result and does not end the comparison.
// Reads jobs { file, runs: [{ frames, start?, end?, pictures }] } as JSON lines and answers each with one line. The pictures
// of a run are written to the file `pictures`.

import { writeFile } from 'node:fs/promises'
import process from 'node:process'
import { createInterface } from 'node:readline'

import { extractFrames } from '../../dist/run/frames.js'

for await (const line of createInterface({ input: process.stdin })) {
  const { file, runs } = JSON.parse(line)
  const answers = []
  for (const run of runs) answers.push(await answer(file, run))
  process.stdout.write(`${JSON.stringify({ file, runs: answers })}\n`)
}

async function answer(file, { frames, start, end, pictures }) {
  try {
    const found = await extractFrames(file, {
      frames,
      resolution: 8,
      ...(start !== undefined && { start }),
      ...(end !== undefined && { end }),
    })
    await writeFile(pictures, Buffer.concat(found.images.map(({ data }) => data)))
    return {
      count: found.media.frameCount,
      codec: found.media.codec,
      indices: found.frames.map(({ index }) => index),
      times: found.frames.map(({ pts }) => pts),
      sizes: found.images.map(({ width, height }) => [width, height]),
      pictures,
      warnings: found.warnings,
    }
  } catch (error) {
    return { error: error.code ?? error.name, message: error.message }
  }
}
