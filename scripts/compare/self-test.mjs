// Tests the comparison itself: it must find each of several mistakes that are put into the library's answer about a video.

import { readFile, writeFile } from 'node:fs/promises'

import { differences } from './judge.mjs'

const spoiled = {
  frames: async (run) => {
    const bytes = await readFile(run.pictures)
    const [width, height] = run.sizes[0]
    await writeFile(
      run.pictures,
      Buffer.concat([bytes.subarray(3 * width * height), bytes.subarray(0, 3 * width * height)]),
    )
  },
  pictures: async (run) =>
    writeFile(
      run.pictures,
      (await readFile(run.pictures)).map((level) => Math.min(255, level + 2)),
    ),
  count: (run) => {
    run.count += 1
  },
  times: (run) => {
    run.times = run.times.map((time) => time / 2)
  },
  refused: (run) => {
    run.error = 'media'
  },
}

/**
 * `ask(spoil)` resolves with { library, peer } for a sound video; `spoil(run)` has changed the library's answer by then.
 * Throws when the comparison misses a change.
 */
export async function selfTest(ask) {
  const untouched = await ask(() => {})
  const found = differences(untouched.library, untouched.peer)
  if (found.length > 0) throw new Error(`self-test: a sound video differs: ${JSON.stringify(found)}`)
  for (const [what, spoil] of Object.entries(spoiled)) {
    const { library, peer } = await ask(spoil)
    const kinds = [...new Set(differences(library, peer).map((difference) => difference.what))]
    if (`${kinds}` !== what)
      throw new Error(
        `self-test: with spoiled ${what} the comparison finds: ${kinds.join(', ') || 'nothing'}`,
      )
  }
  const [crash] = differences({ ended: 'SIGABRT', said: '' }, untouched.peer)
  if (crash?.what !== 'crash') throw new Error('self-test: the comparison misses a crash')
}
