/** The routes as a Fastify plugin, for a server of one's own. */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { bearerCheck } from './auth.ts'
import { answerFor, HttpError } from './errors.ts'
import { openApiDocument } from './openapi.ts'
import type { HttpOptions } from './options.ts'
import { docsAssets, pageAssets, registerClipRoute, sendAsset } from './page.ts'
import { apiRoutes, metricsRoutes, type Route } from './routes.ts'
import { limitSending } from './sending.ts'
import { Service } from './service.ts'
import { visitorCheck } from './visitors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Anybody is answered: no key is asked for, and any name of the server will do. */
    open?: boolean
    /** No key is asked for: files of the package, from which a key can be typed in. */
    keyless?: boolean
    /** The handler reads the body itself, when it has looked at the rest. */
    readsBody?: boolean
  }
}

/** Adds all routes, under the `prefix` of `register`. Closing the app refuses new work; it does not dispose the embedder. */
export const cosmosEmbed: FastifyPluginAsync<HttpOptions & { prefix?: string }> = async (app, options) => {
  const { prefix: _, ...own } = options
  const service = await Service.start(own, app.log)
  app.addHook('preClose', async () => service.model.close())
  app.addHook('onClose', () => service.close())
  registerRoutes(app, service)
}

/** @internal Also used by `createServer`, which keeps the service to drain it. */
export function registerRoutes(app: FastifyInstance, service: Service): void {
  const { apiKeys, allowedHosts, metrics, docs, page } = service.options
  app.setErrorHandler(sendError)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff' })
  })
  const checkVisitor = visitorCheck(allowedHosts)
  app.addHook('onRequest', async (request) => {
    if (!request.routeOptions.config.open) checkVisitor(request)
  })
  if (apiKeys.length > 0) {
    const check = bearerCheck(apiKeys)
    app.addHook('onRequest', async (request) => {
      const { open, keyless } = request.routeOptions.config
      if (!open && !keyless) check(request.headers.authorization)
    })
  }
  // A client that stops reading its answer must not hold the connection for ever.
  app.addHook('onSend', async (_request, reply) => {
    limitSending(reply, service.options.limits.sendTimeoutMs)
  })
  app.removeAllContentTypeParsers()
  // The handler reads the stream itself: it meters, and parses long bodies in another thread.
  app.addContentTypeParser(/^application\/([\w.-]+\+)?json\s*(;|$)/i, (_request, _payload, done) =>
    done(null),
  )
  app.addContentTypeParser('*', (request, _payload, done) => {
    done(
      isUntyped(request)
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
    // Until the model is loaded the document lacks its names.
    if (service.model.reason === undefined) document ??= openApiDocument(service, routes, app.prefix)
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
  for (const [url, methods] of allowed) refuseOtherMethods(app, url, methods)
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
 * JSON of a client that names no type is taken. A browser sends such a body for any page without asking first, but says for
 * which one: that is no such client.
 */
function isUntyped({ headers }: FastifyRequest): boolean {
  return headers['content-type'] === undefined && headers.origin === undefined
}

/** Before the body is looked at, which a method that is not allowed has no right to be judged by. */
function refuseOtherMethods(app: FastifyInstance, url: string, allowed: readonly string[]): void {
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
  const { status, internal, headers, body } = answerFor(error)
  if (internal) request.log.error({ err: error }, body.error.message)
  else request.log.info({ code: body.error.code, param: body.error.param }, 'refused')
  return reply
    .code(status)
    .headers({ 'x-request-id': request.id, ...headers })
    .send(body)
}
