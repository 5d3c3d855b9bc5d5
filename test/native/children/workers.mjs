// argv: what to do, video, engine options. The main thread loads the addon itself only in `terminate`.
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { slices } from '../../../scripts/attack/packets.mjs'

const [, , what, video, engineOptions] = process.argv

if (isMainThread) {
  const start = (role) =>
    new Worker(new URL(import.meta.url), { argv: process.argv.slice(2), workerData: role })
  const scenarios = {
    /** Several environments at once, all with the same results. */
    async together() {
      const workers = Array.from({ length: 4 }, () => start('decode'))
      const ends = workers.map((worker) => Promise.all([once(worker, 'message'), once(worker, 'exit')]))
      console.log(JSON.stringify((await Promise.all(ends)).map(([[answer]]) => answer)))
    },
    /** Environments that end during their jobs, while another one in the main thread goes on. */
    async terminate() {
      const { default: binding } = await import('#binding')
      const end = await terminateInTurn()
      const { clip } = await binding.decodeClip({ path: video }, { frames: 2, height: 8, width: 8, end: 1 })
        .promise
      console.log(JSON.stringify([end, clip.byteLength]))
    },
    /** The last environment ends and Node would unload the addon, under the threads of its pool. */
    async unload() {
      await terminateInTurn()
      await setTimeout(200)
      console.log('alive')
    },
    /** An environment ends while its decoders are within pictures, which they finish on their own. */
    async stuck() {
      // How long they take to get there depends on the build.
      let end
      let goesOn = false
      for (const milliseconds of [500, 1500, 3000, 6000]) {
        const worker = start('stuck')
        await once(worker, 'message')
        await setTimeout(milliseconds)
        end = await worker.terminate()
        goesOn = decoding() > 3
        if (goesOn) break
      }
      console.log(JSON.stringify([end, goesOn]))
      process.exit(7)
    },
    async exit() {
      const worker = start('exit')
      console.log(JSON.stringify(await once(worker, 'exit')))
    },
    /** The process ends while workers are busy. */
    async exitMain() {
      const workers = [start('busy'), start('busy')]
      await Promise.all(workers.map((worker) => once(worker, 'message')))
      await setTimeout(50)
      process.exit(9)
    },
  }
  /** Ticks of processor time that native threads use while JavaScript waits. */
  function decoding() {
    const ticks = () =>
      readdirSync('/proc/self/task')
        .filter((thread) => thread !== String(process.pid))
        .map((thread) => readFileSync(`/proc/self/task/${thread}/stat`, 'utf8').split(') ')[1].split(' '))
        .reduce((sum, fields) => sum + Number(fields[11]) + Number(fields[12]), 0)
    const before = ticks()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    return ticks() - before
  }
  async function terminateInTurn() {
    const ends = []
    for (let round = 0; round < 6; round++) {
      const worker = start(round === 0 ? 'creating' : 'busy')
      await once(worker, 'message')
      await setTimeout(round * 20)
      ends.push(await worker.terminate())
    }
    return ends
  }
  await scenarios[what]()
} else {
  const { default: binding } = await import('#binding')
  const { createHash } = await import('node:crypto')
  const bytes = video && readFileSync(video)
  const busy = async () => {
    const engine = engineOptions && (await binding.createEngine(JSON.parse(engineOptions)).promise)
    const windows = { seconds: 1, stride: 1 }
    const reader = await binding.openSegments({ bytes }, { frames: 2, height: 8, width: 8 }, windows).promise
    reader.next()
    const rows = Array.from({ length: 512 }, () => Int32Array.from({ length: 100 }, (_, i) => i))
    for (let i = 0; i < 6; i++) {
      binding.decodeClip({ bytes }, { frames: 64, height: 224, width: 224 })
      if (engine) engine.encodeText(rows)
    }
  }
  const roles = {
    async decode() {
      const hashes = []
      for (let i = 0; i < 5; i++) {
        const options = { frames: 4, height: 32, width: 32, end: 1 + i }
        const { clip } = await binding.decodeClip({ bytes }, options).promise
        hashes.push(createHash('sha256').update(clip.toBytes()).digest('hex'))
      }
      parentPort.postMessage(hashes.join())
    },
    async creating() {
      const started = busy()
      parentPort.postMessage('creating')
      await started
    },
    async busy() {
      await busy()
      parentPort.postMessage('busy')
    },
    async stuck() {
      const bytes = slices(2000, { reference: true })
      for (let i = 0; i < 16; i++) binding.decodeClip({ bytes }, { frames: 2, height: 8, width: 8 })
      parentPort.postMessage('stuck')
    },
    async exit() {
      await busy()
      await setTimeout(50)
      process.exit(5)
    },
  }
  await roles[workerData]()
}
