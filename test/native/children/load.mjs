// argv: how often. Worker threads that end while they load the addon: where a call into JavaScript that it makes throws,
// and wherever terminate() happens to meet it.
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

if (isMainThread) {
  const rounds = Number(process.argv[2])
  const start = (role) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: role })
    worker.on('error', () => {})
    return worker
  }
  const refused = start('refuse')
  const ended = once(refused, 'exit')
  const [refusal] = await once(refused, 'message')
  await ended
  // Deterministic delays, although the moments they hit depend on the machine.
  let seed = 7
  for (let round = 0; round < rounds; round++) {
    const worker = start('load')
    await once(worker, 'message')
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    // A timer is too coarse: a load that is not the first takes less than a millisecond.
    for (const until = performance.now() + (6 * seed) / 0x7fffffff; performance.now() < until; );
    await worker.terminate()
  }
  console.log(refusal)
} else {
  if (workerData === 'refuse') {
    process.once = () => {
      throw new Error('refused')
    }
  }
  if (workerData === 'load') parentPort.postMessage('loading')
  try {
    const { default: binding } = await import('#binding')
    binding.diagnostics()
    parentPort.postMessage('loaded')
  } catch (error) {
    parentPort.postMessage(error.message)
  }
}
