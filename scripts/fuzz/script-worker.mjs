// A thread that runs a target round by round. It tells the number of the round through shared memory, so that the main
// thread knows which one hangs.

import { parentPort, workerData } from 'node:worker_threads'
import { check, Finding, inputOf, loadScript } from './script-targets.mjs'

const { name, seed, until, state } = workerData
const rounds = new Int32Array(state)

const target = await loadScript(name)
target.begin()
try {
  for (const input of target.seeds) await check(target, input)
  let accepted = 0
  let round = 0
  for (; Date.now() < until; round += 1) {
    Atomics.store(rounds, 0, round)
    if (await check(target, inputOf(target, seed, round))) accepted += 1
  }
  parentPort.postMessage({ rounds: round, accepted })
} catch (error) {
  if (!(error instanceof Finding)) throw error
  parentPort.postMessage({ rounds: Atomics.load(rounds, 0), finding: error.message, input: error.input })
} finally {
  target.end()
}
