/** Generates the OpenAPI 3.1 document from the schemas that validate requests and describe responses. */
import type { ZodType } from 'zod'
import { VERSION } from '../base/version.ts'
import { zod } from '../base/zod.ts'
import { requestBodies } from './openapi-bodies.ts'
import type { BodyKind } from './parse-body.ts'
import type { Route } from './routes.ts'
import { components, errorBody, health } from './schemas.ts'
import type { Service } from './service.ts'

const z = zod()

export type Json = Record<string, unknown>

const statusText: Readonly<Record<number, string>> = {
  400: 'The body is not JSON, or the request is not valid HTTP',
  401: 'The key is missing or wrong',
  403: 'The request comes from a page of another site, or uses a host name that is not allowed',
  404: 'Nothing has this name',
  408: 'The body did not arrive in time',
  413: 'The body is too large',
  415: 'The body is not application/json',
  422: 'The request is invalid, or its media cannot be used',
  429: 'The server is overloaded: try again after `retry-after` seconds',
  500: 'The server failed',
  502: 'A URL could not be downloaded',
  503: 'The model is not loaded, or the server is closing',
  504: 'The request took longer than allowed',
}

/** `prefix`: the path that the routes are registered under, e.g. `/embed`. */
export function openApiDocument(service: Service, routes: readonly Route[], prefix: string): Json {
  const secured = service.options.apiKeys.length > 0
  const bodies = requestBodies(service)
  const paths = Object.fromEntries(
    routes.map((route) => [
      route.path ?? route.url,
      { [route.method.toLowerCase()]: operation(route, bodies, secured) },
    ]),
  )
  return {
    openapi: '3.1.0',
    info: {
      title: 'cosmos-embed',
      version: VERSION,
      description: 'Embeddings of text and video, as the Cosmos-Embed1 NIM serves them.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: prefix === '' ? '/' : prefix }],
    security: secured ? [{ bearer: [] }] : [],
    paths,
    components: {
      schemas: componentSchemas(),
      ...(secured && { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }),
    },
  }
}

function operation(route: Route, bodies: Record<BodyKind, Json>, secured: boolean): Json {
  const errors = route.open ? route.errors : [...(secured ? [401] : []), 403, ...route.errors]
  return {
    operationId: route.id,
    summary: route.summary,
    ...(route.open && { security: [] }),
    ...(route.path && { parameters: parametersOf(route.path) }),
    ...(route.body && {
      requestBody: { required: true, content: { 'application/json': bodies[route.body] } },
    }),
    responses: {
      200: {
        description: 'The request succeeded',
        headers: { 'x-request-id': requestIdHeader },
        content: contentOf(route),
      },
      ...(route.id === 'getReadiness' && {
        503: {
          description: 'Not ready; `message` gives the reason',
          content: { 'application/json': { schema: reference(health) } },
        },
      }),
      ...Object.fromEntries(errors.map((status) => [status, errorResponse(status)])),
    },
  }
}

function contentOf({ response, lines }: Route): Json {
  if (response === 'text/plain') return { 'text/plain': { schema: { type: 'string' } } }
  return { [lines ? 'application/x-ndjson' : 'application/json']: { schema: reference(response) } }
}

function parametersOf(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
}

const requestIdHeader = { description: 'Identifies this request in the log.', schema: { type: 'string' } }

function errorResponse(status: number): Json {
  const header = (description: string) => ({ description, schema: { type: 'string' } })
  return {
    description: statusText[status] ?? 'The request was refused',
    headers: {
      'x-request-id': requestIdHeader,
      'x-should-retry': header('Whether the same request may succeed later: `true` or `false`.'),
      ...((status === 429 || status === 503) && {
        'retry-after': header('Seconds to wait before trying again.'),
      }),
    },
    content: { 'application/json': { schema: reference(errorBody) } },
  }
}

const uri = (id: string) => `#/components/schemas/${id}`

function reference(schema: ZodType): Json {
  return { $ref: uri(components.get(schema)?.id ?? '') }
}

function componentSchemas(): Record<string, Json> {
  const { schemas } = z.toJSONSchema(components, { uri })
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema]),
  )
}
