/** The standalone server: Fastify with limits for an open network, an orderly shutdown, and one error body everywhere. */
import { randomUUID } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import http, { type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyServerOptions, LogController } from 'fastify'
import { InvalidArgumentError, OverloadedError } from '../errors.ts'
import { Connections } from './connections.ts'
import { HttpError, toErrorResponse } from './errors.ts'
import { deferContinue, sendContinue } from './expect-continue.ts'
import type { HttpOptions } from './options.ts'
import { registerRoutes, sendError } from './plugin.ts'
import { Service } from './service.ts'

/** How long closing waits for responses that are still being sent. */
const flushMs = 1_000

/** Options of {@link createServer}. */
export interface ServerOptions extends HttpOptions {
  /** Fastify's `logger`: true, or options for pino. Default: no log. */
  logger?: FastifyServerOptions['logger'] | undefined
  /**
   * Concurrent sockets. Default 1024. One more closes the socket that has been idle the longest. If none is idle, up to 16
   * more are accepted, on which only health is answered.
   */
  maxConnections?: number | undefined
  /** Milliseconds for a request's headers. Default 20 000. */
  headersTimeoutMs?: number | undefined
  /** Milliseconds for a whole request to arrive. Default 120 000. */
  receiveTimeoutMs?: number | undefined
}

/** The address to listen on. */
export interface ListenOptions {
  /** Default `127.0.0.1`. */
  host?: string | undefined
  /** Default 8000; 0 chooses a free port. */
  port?: number | undefined
}

/** A server with all routes, made by {@link createServer}. */
export interface CosmosEmbedServer {
  /** Takes further routes, hooks and plugins before `listen`. */
  readonly app: FastifyInstance
  /** Resolves when the model is loaded and warmed up. Rejects with what made that fail. */
  readonly ready: Promise<void>
  /**
   * Resolves with the address, e.g. `http://127.0.0.1:8000`, without waiting for the model. Rejects with
   * InvalidArgumentError if the address cannot be used, for example because the port is taken.
   */
  listen(options?: ListenOptions): Promise<string>
  /**
   * Turns readiness false, refuses new requests, and cancels running requests after `drainMs` milliseconds (default 0).
   * Does not dispose the embedder. Idempotent.
   */
  close(options?: { drainMs?: number }): Promise<void>
}

/** Creates a server, which does not listen yet. Rejects with InvalidArgumentError for invalid options. */
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
    // Fastify's own log lines would contain the query string.
    logController: new LogController({ disableRequestLogging: true }),
    // Fastify's own 503 has another body than the documented one.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    requestTimeout: receiveTimeoutMs,
    genReqId: requestId,
    clientErrorHandler: respondToMalformedRequest,
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
    http: {
      headersTimeout: Math.min(headersTimeoutMs, receiveTimeoutMs),
      connectionsCheckingInterval: Math.min(5_000, headersTimeoutMs, receiveTimeoutMs),
      maxHeaderSize: 16 * 1024,
      // Node's own response to a missing Host has no body; the host check sends the documented one.
      requireHostHeader: false,
    },
  })
  // Without this, a method that Fastify does not know gets 404 instead of 405. CONNECT never reaches the routes.
  for (const method of http.METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }
  const service = await Service.start(own, app.log)
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]
    return sendError(new HttpError('not_found', `there is no ${path?.slice(0, 200)} here`), request, reply)
  })
  app.addHook('onResponse', logResponse)
  deferContinue(app.server)
  // For routes whose bodies Fastify reads. The others send it themselves, once they have checked the headers.
  app.addHook('preParsing', (request, _reply, payload, done) => {
    if (!request.routeOptions.config.readsBody && !request.is404) sendContinue(request.raw)
    done(null, payload)
  })
  const connections = new Connections(app.server, maxConnections)
  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.config.open || !connections.isReserved(request.socket)) {
      done()
      return
    }
    reply.header('connection', 'close')
    done(new OverloadedError(`all of ${maxConnections} connections are busy`))
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
    // Of a name that has several addresses, Fastify would serve each with a server that knows none of the limits above.
    const { address } = await lookup(host, { verbatim: false })
    return await app.listen({ host: address, port })
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

/** Takes the client's own id if it is short and safe to log. */
function requestId(request: { headers: IncomingMessage['headers'] }): string {
  const id = request.headers['x-request-id']
  return typeof id === 'string' && /^[\w.-]{1,128}$/.test(id) ? id : `req_${randomUUID()}`
}

/** Logs one line per response, without the query string and the body. */
function logResponse(
  request: { log: FastifyInstance['log']; method: string; url: string },
  reply: { statusCode: number; elapsedTime: number },
  done: () => void,
): void {
  const { method, url } = request
  const milliseconds = Math.round(reply.elapsedTime * 10) / 10
  request.log.info({ method, path: url.split('?', 1)[0], status: reply.statusCode, milliseconds }, 'answered')
  done()
}

/** Responds to what Node could not parse as a request: malformed HTTP, and headers that are too large or too slow. */
function respondToMalformedRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, headers, body } = toErrorResponse(malformedRequestError(error.code))
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

function malformedRequestError(code: string | undefined): HttpError {
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
