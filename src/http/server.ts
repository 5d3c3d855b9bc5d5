/** A server of our own: Fastify with limits for the open network, an orderly end, and our error body everywhere. */
import { randomUUID } from 'node:crypto'
import http, { type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions, LogController } from 'fastify'
import { InvalidArgumentError, OverloadedError } from '../errors.ts'
import { Connections } from './connections.ts'
import { answerFor, HttpError } from './errors.ts'
import { holdExpectations, invite } from './expectations.ts'
import type { HttpOptions } from './options.ts'
import { registerRoutes, sendError } from './plugin.ts'
import { Service } from './service.ts'

/** For answers that are still being written when the server closes; half a request has no right to it. */
const flushMs = 1_000

export interface ServerOptions extends HttpOptions {
  /** As Fastify's `logger`: true, or options for pino. Default: no log. */
  logger?: FastifyServerOptions['logger'] | undefined
  /**
   * Sockets at one time. Default 1024. One more ends the one that has been idle for the longest; 16 more are for health
   * alone.
   */
  maxConnections?: number | undefined
  /** Milliseconds for a request's headers. Default 20 000. */
  headersTimeoutMs?: number | undefined
  /** Milliseconds for a whole request to arrive. Default 120 000. */
  receiveTimeoutMs?: number | undefined
}

export interface ListenOptions {
  /** Default `127.0.0.1`. */
  host?: string | undefined
  /** Default 8000; 0 takes a free one. */
  port?: number | undefined
}

export interface CosmosEmbedServer {
  /** For further routes, hooks and plugins, before `listen`. */
  readonly app: FastifyInstance
  /** Resolves when the model is loaded and warmed; rejects with the reason when it cannot be. */
  readonly ready: Promise<void>
  /**
   * Resolves with the address, e.g. `http://127.0.0.1:8000`, before the model is loaded. Rejects with InvalidArgumentError
   * where that address cannot be had, such as a port that is taken.
   */
  listen(options?: ListenOptions): Promise<string>
  /**
   * Readiness turns false, new work is refused, running work has `drainMs` (default 0) to finish before it is
   * cancelled. The embedder stays the caller's. Idempotent.
   */
  close(options?: { drainMs?: number }): Promise<void>
}

/** Throws InvalidArgumentError. */
export async function createServer(options: ServerOptions): Promise<CosmosEmbedServer> {
  const {
    logger = false,
    maxConnections = 1024,
    headersTimeoutMs = 20_000,
    receiveTimeoutMs = 120_000,
    ...own
  } = options
  const app: FastifyInstance = Fastify({
    logger,
    // One line per answer, ours: Fastify's own would have the query string.
    logController: new LogController({ disableRequestLogging: true }),
    // Our own 503 has the same body as every other error.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    requestTimeout: receiveTimeoutMs,
    genReqId: requestId,
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
    http: {
      headersTimeout: Math.min(headersTimeoutMs, receiveTimeoutMs),
      connectionsCheckingInterval: Math.min(5_000, headersTimeoutMs, receiveTimeoutMs),
      maxHeaderSize: 16 * 1024,
      // Node's own answer to a missing Host has no body; ours is the documented one.
      requireHostHeader: false,
    },
  })
  // Methods that Fastify does not know would be 404 where 405 is true. CONNECT is no request for us.
  for (const method of http.METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }
  const service = await Service.start(own, app.log)
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]
    return sendError(new HttpError('not_found', `there is no ${path?.slice(0, 200)} here`), request, reply)
  })
  app.addHook('onResponse', logAnswer)
  holdExpectations(app.server)
  // Of further routes, whose bodies Fastify reads; ours invite when they have looked at the rest.
  app.addHook('preParsing', async (request) => {
    if (!request.routeOptions.config.readsBody && !request.is404) invite(request.raw)
  })
  const connections = new Connections(app.server, maxConnections)
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.open || !connections.isReserved(request.socket)) return
    reply.header('connection', 'close')
    throw new OverloadedError(`all of ${maxConnections} connections are busy`)
  })
  registerRoutes(app, service)

  let closing: Promise<void> | undefined
  const close = async (drainMs: number) => {
    await service.drain(drainMs)
    const force = setTimeout(() => app.server.closeAllConnections(), flushMs)
    await app.close()
    clearTimeout(force)
    await service.close()
  }
  return {
    app,
    ready: service.model.ready,
    listen: ({ host = '127.0.0.1', port = 8000 } = {}) => listen(app, host, port),
    close: ({ drainMs = 0 } = {}) => {
      closing ??= close(drainMs)
      return closing
    },
  }
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (cause) {
    const { code = 'unknown', syscall } = cause as NodeJS.ErrnoException
    if (syscall !== 'listen' && syscall !== 'getaddrinfo') throw cause
    const reason = reasons[code] ?? `the system says ${code}`
    throw new InvalidArgumentError(`cannot listen on ${host}:${port}: ${reason}`, {
      cause,
      details: { host, port, reason: code },
    })
  }
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is taken by another process; choose another with `port`',
  EACCES: 'this user may not use the port; choose one above 1023 with `port`',
  EADDRNOTAVAIL: 'this machine has no such address; choose another `host`',
  ENOTFOUND: 'the host has no address; choose another `host`',
}

/** The client's own id, when it is one that a log can bear. */
function requestId(request: { headers: IncomingMessage['headers'] }): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : `req_${randomUUID()}`
}

/** One line per answer: no query string, no body. */
async function logAnswer(
  request: { log: FastifyInstance['log']; method: string; url: string },
  reply: { statusCode: number; elapsedTime: number },
): Promise<void> {
  const { method, url } = request
  const milliseconds = Math.round(reply.elapsedTime * 10) / 10
  request.log.info({ method, path: url.split('?', 1)[0], status: reply.statusCode, milliseconds }, 'answered')
}

/** What never became a request: broken HTTP, headers too large or too slow. */
function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, headers, body } = answerFor(brokenRequest(error.code))
  const text = JSON.stringify(body)
  const lines = Object.entries({
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(text)),
    'x-request-id': `req_${randomUUID()}`,
    connection: 'close',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${lines.join('')}\r\n`
  socket.end(head + text, () => socket.destroy())
}

function brokenRequest(code: string | undefined): HttpError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpError('request_timeout', 'the request did not arrive in time')
    case 'HPE_HEADER_OVERFLOW':
      return new HttpError('headers_too_large', 'the headers exceed 16384 bytes')
    case 'HPE_INVALID_CONTENT_LENGTH':
    case 'HPE_UNEXPECTED_CONTENT_LENGTH':
      return new HttpError('bad_request', 'Content-Length header must be an integer')
    default:
      return new HttpError('bad_request', 'the request is not valid HTTP')
  }
}
