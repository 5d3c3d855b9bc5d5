// argv: how to end, video, engine options. Ends with open resources or running jobs.
import { setTimeout } from 'node:timers/promises'
import binding from '#binding'
import { slices } from '../../../scripts/attack/packets.mjs'

const [, , how, video, engineOptions] = process.argv
const options = { frames: 64, height: 224, width: 224 }

const engine = engineOptions && (await binding.createEngine(JSON.parse(engineOptions)).promise)

function work() {
  const decodes = Array.from({ length: 8 }, () => binding.decodeClip({ path: video }, options))
  const rows = Array.from({ length: 512 }, () => Int32Array.from({ length: 100 }, (_, i) => i))
  return [...decodes, ...(engine ? [engine.encodeText(rows), engine.encodeText(rows)] : [])]
}

const endings = {
  /** Nothing runs; a reader, a clip and an engine are still open. */
  async idle() {
    const windows = { seconds: 1, stride: 1 }
    const reader = await binding.openSegments({ path: video }, options, windows).promise
    globalThis.open = [reader, await reader.next().promise]
  },
  async exit() {
    work()
    await setTimeout(100)
    process.exit(7)
  },
  /** A decoder within one picture, which cannot be cancelled until it is finished. */
  async stuck() {
    const bytes = slices(2000, { reference: true })
    for (let i = 0; i < 8; i++) binding.decodeClip({ bytes }, { frames: 2, height: 8, width: 8 })
    await setTimeout(500)
    process.exit(7)
  },
  /** An unreferenced job. */
  unref() {
    const job = binding.decodeClip({ path: video }, options)
    job.unref()
    job.promise.then(() => process.stdout.write('waited\n'))
  },
  async throw() {
    work()
    await setTimeout(100)
    throw new Error('on purpose')
  },
  /** Only jobs keep the process alive, until they have completed. */
  async answers() {
    for (const { promise } of [binding.decodeClip({ path: video }, { ...options, frames: 1, end: 1 })]) {
      promise.then(() => console.log('answered'))
    }
  },
  /** A job that is started too late is refused. */
  async late() {
    binding.diagnostics()
    process.on('exit', () => {
      try {
        binding.decodeClip({ path: video }, options)
      } catch ({ code }) {
        console.log(code)
      }
    })
  },
}
await endings[how]()
