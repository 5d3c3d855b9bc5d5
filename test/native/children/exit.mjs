// argv: how to end, video, engine options. Ends with open resources or running jobs.
import { setTimeout } from 'node:timers/promises'
import binding from '#binding'

const [, , how, video, engineOptions] = process.argv
const options = { frames: 64, height: 224, width: 224 }

const engine = engineOptions && (await binding.createEngine(JSON.parse(engineOptions)).promise)

function work() {
  const decodes = Array.from({ length: 8 }, () => binding.decodeClip({ path: video }, options))
  const rows = Array.from({ length: 512 }, () => Int32Array.from({ length: 100 }, (_, i) => i))
  return [...decodes, ...(engine ? [engine.encodeText(rows), engine.encodeText(rows)] : [])]
}

/** A progressive JPEG whose many scans change nothing but take long to decode. */
function slowPicture(size, scans) {
  const segment = (marker, ...content) => {
    const head = Buffer.from([0xff, marker, 0, 0])
    head.writeUInt16BE(content.length + 2, 2)
    return Buffer.concat([head, Buffer.from(content)])
  }
  const one = [1, ...Array(15).fill(0)] // a table of one code
  const blocks = (size / 8) ** 2
  const scan = Buffer.concat([segment(0xda, 1, 1, 0, 1, 63, 0), Buffer.alloc(2 * Math.ceil(blocks / 16384))])
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]),
    segment(0xdb, 0, ...Array(64).fill(1)),
    segment(0xc2, 8, size >> 8, size & 255, size >> 8, size & 255, 1, 1, 0x11, 0),
    segment(0xc4, 0, ...one, 0),
    segment(0xc4, 0x10, ...one, 0xe0),
    segment(0xda, 1, 1, 0, 0, 0, 0),
    Buffer.alloc(blocks / 8),
    ...Array(scans).fill(scan),
    Buffer.from([0xff, 0xd9]),
  ])
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
    const slow = slowPicture(5888, 95)
    binding.decodeClip({ images: Array(16).fill(slow) }, { frames: 16, height: 8, width: 8 })
    await setTimeout(100)
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
