// Probes liveness at a fixed rate, without waiting for answers, so that a stall counts for its whole duration.

import http from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

const everyMs = 50
const { url, control } = workerData
const seen = { latencies: [], unanswered: 0, control: [] }
const underWay = new Set()

const timer = setInterval(probeBoth, everyMs)
probeBoth()
parentPort.postMessage('started')
parentPort.on('message', async () => {
  clearInterval(timer)
  await Promise.all(underWay)
  parentPort.postMessage(seen)
})

function probeBoth() {
  probe(
    `${url}/v1/health/live`,
    (ms) => seen.latencies.push(ms),
    () => {
      seen.unanswered += 1
    },
  )
  probe(
    control,
    (ms) => seen.control.push(ms),
    () => {},
  )
}

/** Uses a new connection, as a supervisor does. */
async function probe(address, onAnswer, onFailure) {
  const began = performance.now()
  const answer = new Promise((resolve, reject) => {
    const request = http.get(address, { agent: false }, (response) => {
      response.resume().on('end', resolve).on('error', reject)
    })
    request.on('error', reject)
  }).then(() => onAnswer(performance.now() - began), onFailure)
  underWay.add(answer)
  await answer
  underWay.delete(answer)
}
