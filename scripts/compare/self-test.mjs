// Whether a comparison would find what it is for: the library's true answer about one video, spoiled in one way at a time.

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

/** `ask(spoil)` answers { ours, peer } about a video, where `spoil(run)` changes the library's answer first. Throws where one is not found. */
export async function selfTest(ask) {
  const untouched = await ask(() => {})
  const found = differences(untouched.ours, untouched.peer)
  if (found.length > 0) throw new Error(`self-test: a sound video differs: ${JSON.stringify(found)}`)
  for (const [what, spoil] of Object.entries(spoiled)) {
    const { ours, peer } = await ask(spoil)
    const kinds = [...new Set(differences(ours, peer).map((difference) => difference.what))]
    if (`${kinds}` !== what)
      throw new Error(`self-test: with other ${what} the comparison finds: ${kinds.join(', ') || 'nothing'}`)
  }
  const [crash] = differences({ ended: 'SIGABRT', said: '' }, untouched.peer)
  if (crash?.what !== 'crash') throw new Error('self-test: a process that was ended is not found')
}
