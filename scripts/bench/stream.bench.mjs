// npm run bench stream: measures the memory that embedStream and embedMany hold, by the number of texts, and while embedStream
// works through the largest number.

import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { createEmbedder } from '../../dist/index.js'
import { report, round } from './report.mjs'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')
const megabytes = (bytes) => round(bytes / 2 ** 20, 1)

const usage = `npm run bench stream -- [OPTIONS]
  --counts LIST    numbers of texts (default 10000,100000,1000000)
  --collected N    embedMany too, up to this number (default 100000): it holds every result
  --texts N        the same as --counts N --collected 0
  --model DIR      bundle (default: the demo model)`

export async function run(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      counts: { type: 'string', default: '10000,100000,1000000' },
      // The results of more texts than this would not fit the memory of every machine.
      collected: { type: 'string', default: '100000' },
      texts: { type: 'string' },
      model: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const counts = (values.texts ?? values.counts).split(',').map(Number)
  const most = values.texts === undefined ? Number(values.collected) : 0
  const embedder = await createEmbedder({ model: values.model, device: 'cpu' })
  try {
    for await (const _ of embedder.embedStream(texts(1000)));
    const rows = []
    let course = []
    for (const count of counts) {
      course = []
      rows.push(await measured('embedStream', count, (held) => streamed(embedder, count, held, course)))
      if (count <= most)
        rows.push(await measured('embedMany', count, (held) => collected(embedder, count, held)))
    }
    const { id } = embedder.info().model
    report('stream', rows, { model: id })
    report('stream-course', course, { model: id })
  } finally {
    await embedder.dispose()
  }
}

/** `course` receives a row after each tenth of the texts. */
async function streamed(embedder, count, held, course) {
  let taken = 0
  const began = performance.now()
  for await (const { status } of embedder.embedStream(texts(count))) {
    if (status === 'rejected') throw new Error('a text failed')
    if (++taken % Math.ceil(count / 10) !== 0) continue
    held()
    const { heapUsed, rss } = process.memoryUsage()
    console.error(`${taken} texts, RSS ${megabytes(rss)} MiB`)
    course.push({
      texts: taken,
      seconds: Math.round((performance.now() - began) / 1000),
      'heap MiB': megabytes(heapUsed),
      'RSS MiB': megabytes(rss),
    })
  }
}

async function collected(embedder, count, held) {
  const results = await embedder.embedMany(texts(count))
  held()
  if (results.some(({ status }) => status === 'rejected')) throw new Error('a text failed')
}

/** `run` receives a function that collects garbage and records how much is still alive. */
async function measured(method, count, run) {
  collectGarbage()
  const before = process.memoryUsage()
  let heap = 0
  let outside = 0
  const started = performance.now()
  await run(() => {
    collectGarbage()
    const { heapUsed, external } = process.memoryUsage()
    heap = Math.max(heap, heapUsed - before.heapUsed)
    outside = Math.max(outside, external - before.external)
  })
  const seconds = (performance.now() - started) / 1000
  return {
    method,
    texts: count,
    'texts/s': Math.round(count / seconds),
    'live heap MiB': megabytes(heap),
    'live vectors MiB': megabytes(outside),
    'RSS MiB': megabytes(process.memoryUsage().rss),
  }
}

function* texts(count) {
  for (let index = 0; index < count; index++) yield { text: `a red circle moving left ${index}`, key: index }
}
