// The client of `npm run bench query`: sends one request after the other on one keep-alive connection.

import http from 'node:http'
import process from 'node:process'
import { createInterface } from 'node:readline'

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })

function send(url, body) {
  const headers = body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const request = http.request(
      url,
      { agent, method: body ? 'POST' : 'GET', headers: headers ?? {} },
      (response) => {
        let bytes = 0
        response.on('data', (chunk) => {
          bytes += chunk.length
        })
        response.on('end', () => {
          if (response.statusCode === 200) resolve(bytes)
          else reject(new Error(`${url} answered ${response.statusCode}`))
        })
      },
    )
    request.on('error', reject)
    request.end(body)
  })
}

for await (const line of createInterface({ input: process.stdin })) {
  const { url, body, count } = JSON.parse(line)
  const ms = []
  let bytes = 0
  for (let i = 0; i < count; i += 1) {
    const began = performance.now()
    bytes = await send(url, body)
    ms.push(performance.now() - began)
  }
  console.log(JSON.stringify({ ms, bytes }))
}
