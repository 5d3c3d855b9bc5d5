/** The routes as a Fastify plugin. */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { bearerCheck } from './auth.ts'
import { HttpError, toErrorResponse } from './errors.ts'
import { hostCheck } from './host-check.ts'
import { openApiDocument } from './openapi.ts'
import type { HttpOptions } from './options.ts'
import { docsAssets, pageAssets, registerClipRoute, sendAsset } from './page.ts'
import { apiRoutes, metricsRoutes, type Route } from './routes.ts'
import { setSendTimeout } from './send-timeout.ts'
import { Service } from './service.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Requests need no key and may use any host name. */
    open?: boolean
    /** Requests need no key: these are the files of the pages, which ask the user for one. */
    keyless?: boolean
    /** The handler reads the body itself, after it has checked the headers. */
    readsBody?: boolean
  }
}

/**
 * Adds all routes, under the `prefix` given to `register`. Closing the app refuses new requests; it does not dispose the
 * embedder. Registering rejects with InvalidArgumentError for invalid options.
 */
export const cosmosEmbed: FastifyPluginAsync<HttpOptions & { prefix?: string }> = async (app, options) => {
  const { prefix: _, ...own } = options
  const service = await Service.start(own, app.log)
  app.addHook('preClose', async () => service.model.close())
  app.addHook('onClose', () => service.close())
  registerRoutes(app, service)
}

/** Also used by `createServer`, which keeps the service to drain it. @internal */
export function registerRoutes(app: FastifyInstance, service: Service): void {
  const { apiKeys, allowedHosts, metrics, docs, page } = service.options
  app.setErrorHandler(sendError)
  const checkHost = hostCheck(allowedHosts)
  const checkKey = apiKeys.length > 0 ? bearerCheck(apiKeys) : undefined
  // One hook without a promise: every request passes it.
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff')
    const { open, keyless } = request.routeOptions.config
    let refusal: Error | undefined
    try {
      if (!open) checkHost(request)
      if (!open && !keyless) checkKey?.(request.headers.authorization)
    } catch (error) {
      refusal = error as Error
    }
    done(refusal)
  })
  // A client that stops reading must not hold the connection forever.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    setSendTimeout(reply, service.options.limits.sendTimeoutMs)
    done()
  })
  app.removeAllContentTypeParsers()
  // The handlers read the stream themselves, to meter it and to parse long bodies in another thread.
  app.addContentTypeParser(/^application\/([\w.-]+\+)?json\s*(;|$)/i, (_request, _payload, done) =>
    done(null),
  )
  app.addContentTypeParser('*', (request, _payload, done) => {
    done(
      mayOmitContentType(request)
        ? null
        : new HttpError('unsupported_media_type', 'send the body as content-type application/json'),
    )
  })

  const routes = [...apiRoutes, ...(metrics ? metricsRoutes : [])]
  const allowed = new Map<string, string[]>()
  const add = (method: 'GET' | 'POST', url: string) => {
    allowed.set(url, [...(allowed.get(url) ?? []), ...(method === 'GET' ? ['GET', 'HEAD'] : [method])])
  }
  for (const route of routes) {
    add(route.method, route.url)
    registerRoute(app, service, route)
  }
  add('GET', '/openapi.json')
  let document: object | undefined
  app.get('/openapi.json', async () => {
    // Not cached before the model is loaded, since the document lacks its names until then.
    if (service.model.notReadyReason === undefined) document ??= openApiDocument(service, routes, app.prefix)
    return document ?? openApiDocument(service, routes, app.prefix)
  })
  for (const asset of [...(docs ? docsAssets : []), ...(page ? pageAssets() : [])]) {
    add('GET', asset.url)
    app.get(asset.url, { config: { keyless: true } }, (_request, reply) => sendAsset(asset, reply))
  }
  if (page) {
    add('POST', '/page/clip')
    registerClipRoute(app, service)
  }
  for (const [url, methods] of allowed) rejectOtherMethods(app, url, methods)
}

function registerRoute(app: FastifyInstance, service: Service, route: Route): void {
  app.route({
    method: route.method,
    url: route.url,
    config: { open: route.open ?? false, readsBody: route.method === 'POST' },
    handler: async (request, reply) => route.handle(service, request, reply),
  })
}

/**
 * Accepts bodies without a content-type as JSON, except from browsers: they send such a body for any page without a
 * preflight request. Browsers are recognized by the Origin that they send along.
 */
function mayOmitContentType({ headers }: FastifyRequest): boolean {
  return headers['content-type'] === undefined && headers.origin === undefined
}

/** Rejects in onRequest, before the body is parsed, so that a wrong method always gets 405. */
function rejectOtherMethods(app: FastifyInstance, url: string, allowed: readonly string[]): void {
  const allow = allowed.join(', ')
  app.route({
    method: app.supportedMethods.filter((method) => !allowed.includes(method)),
    url,
    onRequest: async (request) => {
      throw new HttpError('method_not_allowed', `${request.method} is not allowed here, use ${allow}`, {
        allow,
      })
    },
    handler: async () => {},
  })
}

/** @internal */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, internal, headers, body } = toErrorResponse(error)
  if (internal) request.log.error({ err: error }, body.error.message)
  else request.log.info({ code: body.error.code, param: body.error.param }, 'refused')
  return reply
    .code(status)
    .headers({ 'x-request-id': request.id, ...headers })
    .send(body)
}
