/** Servers on free ports, and raw clients that can misbehave. */
import { connect } from 'node:net'
import { type CosmosEmbedServer, createServer, type ServerOptions } from 'cosmos-embed/http'
import { onTestFinished } from 'vitest'
import { type DoubleOptions, doubleEmbedder, type EmbedderDouble } from './embedder-double.ts'

export interface Running {
  url: string
  server: CosmosEmbedServer
  double: EmbedderDouble
}

/** A ready server over a double of the embedder. Closed when the test ends. */
export async function serveDouble(
  options: Partial<ServerOptions> = {},
  double: DoubleOptions = {},
  host?: string,
): Promise<Running> {
  const embedder = doubleEmbedder(double)
  const server = await createServer({ embedder, ...options })
  onTestFinished(() => server.close())
  const url = await server.listen({ port: 0, host })
  await server.ready
  return { url, server, double: embedder }
}

export interface Answer {
  status: number
  headers: Headers
  body: unknown
}

export async function request(url: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(url, init)
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  return {
    status: response.status,
    headers: response.headers,
    body: isJson && text !== '' ? JSON.parse(text) : text,
  }
}

export function post(
  url: string,
  body: unknown,
  init: RequestInit = {},
  path = '/v1/embeddings',
): Promise<Answer> {
  return request(url + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  })
}

/** Asks for segments. Resolves at the head of the response, whose lines the caller reads from its body. */
export function fetchSegments(url: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/v1/segments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal && { signal }),
  })
}

/** Sends `text` and resolves with the response, once it contains `until` or the connection closes. */
export function rawExchange(url: string, text: string, until?: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(Number(port), hostname, () => socket.write(text))
    socket.on('data', (chunk) => {
      answer += chunk
      if (until !== undefined && answer.includes(until)) {
        socket.destroy()
        resolve(answer)
      }
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

/** Polls until `check` passes. Rejects with its last failure. */
export async function eventually(check: () => void | Promise<void>, milliseconds = 10_000): Promise<void> {
  const end = Date.now() + milliseconds
  for (;;) {
    try {
      await check()
      return
    } catch (error) {
      if (Date.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

/** A promise and the function that resolves it. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** The documented error body. */
export function errorBody(
  message: unknown,
  type: string,
  code: string,
  status: number,
  param: string | null = null,
) {
  return { error: { message, detail: message, type, code, param, status_code: status } }
}
