// HTTP and raw socket clients, for requests that a well-behaved client would not send.

import http from 'node:http'
import { connect } from 'node:net'

const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

/**
 * Posts any body. Resolves with `{ status, text }`; the status is 0 when the connection broke.
 * @param {string} url
 * @param {string | Buffer} body
 * @param {{ route?: string, headers?: http.OutgoingHttpHeaders, signal?: AbortSignal }} [options]
 * @returns {Promise<{ status: number, text: string }>}
 */
export function post(url, body, { route = '/v1/embeddings', headers = {}, signal } = {}) {
  return new Promise((resolve) => {
    const request = http.request(
      `${url}${route}`,
      {
        method: 'POST',
        agent,
        signal,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...headers,
        },
      },
      (response) => {
        const chunks = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', () => resolve({ status: 0, text: '' }))
        response.on('end', () =>
          resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }),
        )
      },
    )
    request.on('error', () => resolve({ status: 0, text: '' }))
    request.end(body)
  })
}

export const query = (input, type = 'query') =>
  JSON.stringify({ request_type: type, input, model: 'cosmos-embed-demo' })

/** Sends these bytes. Resolves with the status of the answer, or 0 without one. */
export function raw(url, text) {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(Number(port), hostname, () => socket.write(text))
    const end = () => {
      socket.destroy()
      resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0))
    }
    socket.on('data', (chunk) => {
      answer += chunk
      if (answer.includes('\r\n\r\n')) end()
    })
    socket.on('error', end).on('close', end)
  })
}

/**
 * Opens a socket, writes `text`, and then writes `drip` every `everyMs`.
 * @param {string} url
 * @param {string | Buffer} [text]
 * @param {{ drip?: string | Buffer, everyMs?: number }} [options]
 * @returns {Promise<import('node:net').Socket>}
 */
export function openSocket(url, text = '', { drip, everyMs = 100 } = {}) {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    socket
      .on('error', () => resolve(socket))
      .on('connect', () => {
        if (text !== '') socket.write(text)
        const timer = drip === undefined ? undefined : setInterval(() => socket.write(drip), everyMs)
        socket.on('close', () => clearInterval(timer))
        resolve(socket)
      })
    socket.resume()
  })
}
