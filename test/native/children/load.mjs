// argv: how often. Worker threads that end while they load the addon: at each call into JavaScript that the addon makes
// meanwhile, and wherever terminate() happens to meet it.
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

if (isMainThread) {
  const rounds = Number(process.argv[2])
  const start = (role) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: role })
    worker.on('error', () => {})
    return worker
  }
  const refusals = []
  for (const role of ['once', 'process']) {
    const worker = start(role)
    const ended = once(worker, 'exit')
    refusals.push((await once(worker, 'message'))[0])
    await ended
  }
  // The same numbers each time; the moments that they stand for are the machine's.
  let seed = 7
  for (let round = 0; round < rounds; round++) {
    const worker = start('load')
    await once(worker, 'message')
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    // A timer is too coarse: a load that is not the first takes less than a millisecond.
    for (const until = performance.now() + (6 * seed) / 0x7fffffff; performance.now() < until; );
    await worker.terminate()
  }
  console.log(JSON.stringify(refusals))
} else {
  const refuse = () => {
    throw new Error('refused')
  }
  if (workerData === 'once') process.once = refuse
  if (workerData === 'process') Object.defineProperty(globalThis, 'process', { get: refuse })
  if (workerData === 'load') parentPort.postMessage('loading')
  try {
    const { default: binding } = await import('#binding')
    binding.diagnostics()
    parentPort.postMessage('loaded')
  } catch (error) {
    parentPort.postMessage(String(error.message).split('\n')[0])
  }
}
