// An HTTP client for benchmarks: closed loops over keep-alive connections, or arrivals at a fixed rate.

import http from 'node:http'

/** Posts one body. Resolves with the status and the milliseconds. */
export function post(url, body, agent) {
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length }
    const request = http.request(`${url}/v1/embeddings`, { method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.on('end', () => resolve({ status: response.statusCode, ms: performance.now() - began }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** Runs `loops` callers for `seconds`, each calling again as soon as it has its answer. Resolves with milliseconds per call. */
export async function closedLoop(call, loops, seconds) {
  const latencies = []
  const began = performance.now()
  const end = began + seconds * 1000
  await Promise.all(
    Array.from({ length: loops }, async () => {
      while (performance.now() < end) {
        const start = performance.now()
        await call()
        latencies.push(performance.now() - start)
      }
    }),
  )
  return { latencies, elapsed: (performance.now() - began) / 1000 }
}

/** Makes `rate` calls per second for `seconds`, without waiting for answers. Resolves with the results of `call`. */
export async function openLoop(call, rate, seconds) {
  const calls = []
  const began = performance.now()
  const total = Math.floor(rate * seconds)
  while (calls.length < total) {
    const due = Math.min(total, Math.floor(((performance.now() - began) / 1000) * rate))
    while (calls.length < due) calls.push(call())
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return Promise.all(calls)
}
