// argv: what to repeat, and its source. Prints what is left after garbage collection. Needs --expose-gc.
import { readdirSync, readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import binding from '#binding'

const [, , what, source] = process.argv

const large = { frames: 16, height: 512, width: 512 } // 12 MiB
const small = { frames: 1, height: 8, width: 8 }

function paddedVideo() {
  const bytes = new Uint8Array(16 << 20)
  bytes.set(readFileSync(source))
  return bytes
}

const threads = () => readdirSync('/proc/self/task').length
let threadsBefore = 0

const repeated = {
  /** Handles are dropped without release(): V8 must know their weight to collect them in time. */
  async clips() {
    for (let i = 0; i < 120; i++) await binding.decodeClip({ path: source }, large).promise
  },
  /** Pinned buffers and the readers that hold them. */
  async bytes() {
    for (let i = 0; i < 60; i++) await binding.decodeClip({ bytes: paddedVideo() }, small).promise
  },
  async readers() {
    for (let i = 0; i < 60; i++) {
      const bytes = paddedVideo()
      const windows = { seconds: 1, stride: 1 }
      const reader = await binding.openSegments({ bytes }, small, windows).promise
      await reader.next().promise
    }
  },
  async engines() {
    const engine = JSON.parse(source)
    await (await binding.createEngine(engine).promise).close()
    threadsBefore = threads()
    for (let i = 0; i < 12; i++) {
      const created = await binding.createEngine(engine).promise
      await created.encodeText([Int32Array.of(1, 2)]).promise
      if (i % 2 === 0) await created.close()
    }
    // Only its job keeps this one alive.
    const rows = Array.from({ length: 64 }, () => Int32Array.from({ length: 100 }, (_, i) => i))
    const vectors = (await binding.createEngine(engine).promise).encodeText(rows).promise
    gc()
    await setImmediate()
    await vectors
  },
}

let peak = 0
const watch = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss())
}, 10)
await repeated[what]()
clearInterval(watch)
// A finalizer may post the release of what it held, so collect until nothing more is freed.
for (let turn = 0; turn < 20; turn++) {
  gc()
  await setImmediate()
}
const { external, arrayBuffers } = process.memoryUsage()
console.log(JSON.stringify({ external, arrayBuffers, peak, threadsBefore, threadsAfter: threads() }))
