// Asks for liveness at a fixed rate, whether it is answered or not, so that a stall counts for as long as it lasts.

import http from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

const everyMs = 25
const latencies = []
let unanswered = 0
const underWay = new Set()

const timer = setInterval(probe, everyMs)
probe()
parentPort.postMessage('started')
parentPort.on('message', async () => {
  clearInterval(timer)
  await Promise.all(underWay)
  parentPort.postMessage({ latencies, unanswered })
})

/** Over a connection of its own, as a supervisor asks. */
async function probe() {
  const began = performance.now()
  const one = new Promise((resolve, reject) => {
    const request = http.get(`${workerData}/v1/health/live`, { agent: false }, (response) => {
      response.resume().on('end', resolve).on('error', reject)
    })
    request.on('error', reject)
  }).then(
    () => latencies.push(performance.now() - began),
    () => {
      unanswered += 1
    },
  )
  underWay.add(one)
  await one
  underWay.delete(one)
}
