// npm run compare -- [OPTIONS] [FOLDER or FILE…]: compares chosen frames, counts, times and pictures of videos with PyAV,
// which decodes every frame with its own FFmpeg. Prints the differences, with the reason where one is known.

import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { videoFiles } from '../dist/bulk/walk-videos.js'
import { table } from '../dist/cli/table.js'
import binding from '../lib/binding.js'
import { all, some } from './compare/combinations.mjs'
import { explain, rows } from './compare/explain.mjs'
import { differences } from './compare/judge.mjs'
import { known } from './compare/known.mjs'
import { ffmpegVersion, makeFile, makeStream } from './compare/make.mjs'
import { selfTest } from './compare/self-test.mjs'
import { picture, streams } from './compare/streams.mjs'
import { varied } from './compare/variety.mjs'
import { inLanes, python, Worker } from './compare/worker.mjs'

const usage = `npm run compare -- [OPTIONS] [FOLDER or FILE…]
  FOLDER             videos below it, by their names
  --generated        videos made on the spot: codecs × containers × what happens to files
  --combinations N   how many of these (default 400)
  --all              all of these
  --variety N        also N videos with several peculiarities each (default 0)
  --seed N           which of these (default 1)
  --only TEXT        those whose names have it
  --frames T         frames of a clip (default 8)
  --json FILE        everything that was found

Ends with 0 where nothing differs or every difference is a known one, with 1 otherwise.
`
const here = fileURLToPath(new URL('.', import.meta.url))
const secondsPerVideo = 300
/** The plainest of the generated videos, for the self-test. */
const plainest = 'h264-p mp4 plain'
const lanes = availableParallelism()
const report = path.join(here, '..', '.cache', 'compare-tests.json')

/** @satisfies {import('node:util').ParseArgsConfig['options']} */
const options = {
  generated: { type: 'boolean', default: false },
  combinations: { type: 'string', default: '400' },
  all: { type: 'boolean', default: false },
  variety: { type: 'string', default: '0' },
  seed: { type: 'string', default: '1' },
  only: { type: 'string', default: '' },
  frames: { type: 'string', default: '8' },
  json: { type: 'string' },
}

process.exitCode = await main()

async function main() {
  let parsed
  try {
    parsed = parseArgs({ options, allowPositionals: true })
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${usage}`)
    return 2
  }
  const { values, positionals } = parsed
  if (!values.generated && positionals.length === 0) {
    process.stderr.write(usage)
    return 2
  }
  const scratch = await mkdtemp(path.join(tmpdir(), 'cosmos-embed-compare-'))
  try {
    const videos = [
      ...(await named(positionals, values)),
      ...(values.generated ? await generated(values) : []),
    ]
    const { results, peer } = await compare(videos, scratch)
    return await conclude(results, peer, values)
  } finally {
    await rm(scratch, { recursive: true })
  }
}

/** @returns [{ name, file, runs }]; names begin with the last part of the given folder's path */
async function named(places, { frames, only }) {
  const runs = [{ frames: Number(frames) }]
  const found = []
  for (const place of places) {
    const isFolder = (await stat(place)).isDirectory()
    const above = path.dirname(path.resolve(place))
    for (const file of isFolder ? await videoFiles(place) : [place]) {
      found.push({ name: path.relative(above, path.resolve(file)), file, runs })
    }
  }
  return found.filter(({ name }) => name.includes(only))
}

/** The same for generated videos, with three runs each: sparse frames, all frames, and a range. */
async function generated({ combinations, all: everything, variety, seed, only, frames }) {
  const version = ffmpegVersion()
  const { decoders } = binding.diagnostics().ffmpeg
  const absent = Object.values(streams).filter(({ decoder }) => !decoders.includes(decoder))
  if (absent.length > 0)
    say(`left out, since the library has no decoder: ${absent.map(({ name }) => name).join(', ')}`)
  const chosen = [
    ...(everything ? all(decoders) : some(Number(combinations), Number(seed), decoders)),
    ...varied(Number(variety), Number(seed), decoders),
  ].filter(({ name }) => name.includes(only) || name === plainest)
  if (chosen.every(({ name }) => name !== plainest)) chosen.push(all().find(({ name }) => name === plainest))
  const sources = new Map()
  const began = performance.now()
  const refused = []
  await inLanes([...new Set(chosen.map(({ stream }) => stream))], lanes, async (stream) => {
    // Awaited by each of its files, which say what is wrong.
    const source = makeStream(stream, version)
    sources.set(stream, source)
    await source.catch(() => {})
  })
  const videos = []
  const runs = [{ frames: Number(frames) }, { frames: picture.frames }, { frames: 5, start: 0.7, end: 1.5 }]
  await inLanes(chosen, lanes, async (combination) => {
    const { name, stream, treatment } = combination
    let file
    try {
      file = await makeFile(combination, await sources.get(stream), version)
    } catch (error) {
      if (!combination.mayFail) throw error
      refused.push(`${name}: ${error.message}`)
      return
    }
    videos.push({
      name,
      file,
      runs,
      bars: picture.bars,
      whole: treatment.whole,
      mayBeEmpty: treatment.mayBeEmpty,
    })
  })
  if (refused.length > 0)
    say(`${refused.length} left out, since the ffmpeg command does not write them, such as ${refused[0]}`)
  say(`${videos.length} videos made in ${((performance.now() - began) / 1000).toFixed(0)} s, by ${version}`)
  return videos.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function compare(videos, scratch) {
  const environment = path.join(here, 'export', 'environment.py')
  const folder = path.join(here, 'compare')
  const requirements = path.join(folder, 'requirements.txt')
  const pairs = Array.from({ length: Math.min(lanes, videos.length) }, () => ({
    library: new Worker(process.execPath, [path.join(folder, 'library.mjs')], { seconds: secondsPerVideo }),
    peer: new Worker(python, [environment, requirements, path.join(folder, 'peer.py')], {
      seconds: secondsPerVideo,
      greets: true,
    }),
  }))
  const [first] = pairs
  const results = []
  try {
    const sound = videos.find(({ name }) => name === plainest)
    if (sound) await selfTest((spoil) => askBoth(sound, first, path.join(scratch, 'spoiled'), spoil))
    await inLanes(videos, lanes, async (video, lane, index) => {
      const { library, peer } = await askBoth(video, pairs[lane], path.join(scratch, `${lane}`))
      results[index] = {
        ...video,
        library,
        peer,
        differs: [...differences(library, peer), ...made(video, peer)],
      }
      if (process.stderr.isTTY) process.stderr.write(`\r${index + 1} of ${videos.length}`)
    })
  } finally {
    for (const { library, peer } of pairs) {
      library.close()
      peer.close()
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r')
  return { results, peer: first?.peer.greeting ?? {} }
}

/** Runs the library first; pictures are compared in Python, which has numpy. `spoil` changes its answers, for the self-test. */
async function askBoth({ file, bars, runs }, pair, pictures, spoil = async (_run) => {}) {
  const library = await pair.library.ask({
    file,
    runs: runs.map((run, number) => ({ ...run, pictures: `${pictures}-${number}` })),
  })
  for (const run of library.runs ?? []) if (!run.error) await spoil(run)
  const asked = runs.map((run, number) => {
    const answer = library.runs?.[number]
    return answer && !answer.error ? { ...run, library: answer } : run
  })
  return { library, peer: await pair.peer.ask({ file, bars, runs: asked }) }
}

/** Guards against comparing garbage with garbage: where every picture must be shown once, the peer must show it. */
function made({ whole, mayBeEmpty, bars }, { numbers, error }) {
  if (bars && error && !mayBeEmpty) return [{ what: 'made', detail: `PyAV: ${error}` }]
  if (!whole || !numbers) return []
  const wrong = numbers.length !== picture.frames || numbers.some((number, index) => number !== index)
  return wrong
    ? [{ what: 'made', detail: `PyAV shows ${numbers.length}: ${numbers.slice(0, 12).join(' ')} …` }]
    : []
}

async function conclude(results, peer, { json, generated: isGenerated }) {
  const { avcodec } = binding.diagnostics().ffmpeg
  const { same, known: explained, unknown, stale } = explain(results, known, Number.parseInt(avcodec, 10))
  const differing = rows([...explained, ...unknown])
  if (differing.length > 0)
    say(`${table([['video', 'differs', 'library', 'asked', 'reason'], ...differing])}`)
  for (const { video, reason } of stale) {
    say(`no longer differs, so take it out of scripts/compare/known.mjs: ${video} (${reason})`)
  }
  say(
    `library: libavcodec ${avcodec}; peer: PyAV ${peer.PyAV}, FFmpeg ${peer.ffmpeg}, libavcodec ${peer.libavcodec}`,
  )
  say(
    `${results.length} videos: ${same.length} the same, ${explained.length} differ for a known reason, ` +
      `${unknown.length} differ`,
  )
  if (json !== undefined) await writeFile(json, JSON.stringify(results, null, 1))
  if (isGenerated) {
    const totals = {
      numPassedTests: same.length,
      numFailedTests: unknown.length + stale.length,
      numPendingTests: explained.length,
      numTodoTests: 0,
    }
    await writeFile(report, JSON.stringify(totals))
  }
  return results.length > 0 && unknown.length === 0 && stale.length === 0 ? 0 : 1
}

function say(text) {
  process.stdout.write(`${text}\n`)
}
