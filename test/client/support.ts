/** Servers for the client: `cosmos-embed serve` over a double, and scripted ones that respond as a test says. */
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ClientOptions, createClient, type EmbedderClient } from 'cosmos-embed/client'
import { onTestFinished } from 'vitest'

export interface Seen {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: Wire
  /** Resolves when the request was answered or its connection closed. */
  gone: Promise<unknown>
}

/** A request that the server received. */
export interface Wire {
  request_type: string
  input: string | string[]
  model: string
  encoding_format: string
}

export interface Reply {
  status?: number
  headers?: Record<string, string>
  body?: unknown
  /** Closes the connection instead of answering. */
  hangUp?: boolean
}

export interface Foreign {
  url: string
  /** Requests for vectors, in order. */
  seen: Seen[]
  /** The most requests for vectors that were in flight at one time. */
  readonly atOnce: number
}

type Answerer = (request: Seen, count: number) => Reply | Promise<Reply>

/** A scripted server. Like the NIM it lists no models, unless `answer` does. */
export async function foreignServer(answer: Answerer, everything = false): Promise<Foreign> {
  const seen: Seen[] = []
  let running = 0
  let atOnce = 0
  const reply = async (request: IncomingMessage, response: ServerResponse) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const { method = '', url = '', headers } = request
    const body = text === '' ? undefined : JSON.parse(text)
    const one: Seen = { method, path: url, headers, body, gone: once(response, 'close') }
    if (!everything && url !== '/v1/embeddings') {
      response.writeHead(404).end('not found')
      return
    }
    seen.push(one)
    running += 1
    atOnce = Math.max(atOnce, running)
    const { status = 200, headers: more = {}, body: said, hangUp } = await answer(one, seen.length)
    running -= 1
    if (hangUp) {
      response.destroy()
      return
    }
    response
      .writeHead(status, { 'content-type': 'application/json', ...more })
      .end(typeof said === 'string' ? said : JSON.stringify(said))
  }
  const server = createHttpServer((request, response) => void reply(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    get atOnce() {
      return atOnce
    },
  }
}

/** Closes the server when the test ends. */
export function clientOf(url: string, options: Partial<ClientOptions> = {}): EmbedderClient {
  const client = createClient({ url, ...options })
  onTestFinished(() => client.dispose())
  return client
}

export const inputsOf = ({ body }: Seen): string[] => [body.input].flat()

/** A vector that identifies its input. */
export function vectorFor(input: string): number[] {
  const numbers = [input.length, ...[...input.slice(-6)].map((letter) => letter.charCodeAt(0)), 1].slice(0, 4)
  const norm = Math.hypot(...numbers)
  return numbers.map((value) => value / norm)
}

/** A response like those of NVIDIA's services: floats or base64, as requested. */
export function vectors(seen: Seen): Reply {
  const data = inputsOf(seen).map((input, index) => {
    const vector = vectorFor(input)
    const bytes = Buffer.from(Float32Array.from(vector).buffer)
    const embedding = seen.body.encoding_format === 'base64' ? bytes.toString('base64') : vector
    return { object: 'embedding', index, embedding }
  })
  const usage = { num_videos: 0, prompt_tokens: data.length, total_tokens: data.length }
  return { body: { object: 'list', data, model: seen.body.model, usage } }
}

/** An error of NVIDIA's open-source server. */
export function openError(status: number, type: string, detail: string): Reply {
  return { status, body: { error: { type, detail, status_code: status } } }
}

/** An error of `cosmos-embed serve`. */
export function ourError(
  status: number,
  code: string,
  more: { param?: string | null; message?: string; headers?: Record<string, string> } = {},
): Reply {
  const { param = null, message = code, headers = {} } = more
  const error = { message, detail: message, type: 'x', code, param, status_code: status }
  return { status, headers, body: { error } }
}
