/** The OpenAPI 3.1 document, generated from the schemas that check requests and describe answers. */
import { z } from 'zod'
import { wireRequestSchema } from '../request/schema.ts'
import { VERSION } from '../version.ts'
import type { Route } from './routes.ts'
import { components, errorBody, health } from './schemas.ts'
import type { Service } from './service.ts'

type Json = Record<string, unknown>

const statusText: Readonly<Record<number, string>> = {
  400: 'Not JSON, or not valid HTTP',
  401: 'The key is missing or wrong',
  403: 'Called by a page of another site, or by a name that is not the server’s',
  408: 'The body did not arrive in time',
  413: 'The body or the inline media is too large',
  415: 'The body is not application/json',
  422: 'The request breaks the contract, or its media cannot be used',
  429: 'Too much is in flight: try again after `retry-after` seconds',
  500: 'The fault is the server’s',
  502: 'A URL could not be fetched',
  503: 'The model is not loaded, or the server is closing',
  504: 'The request took longer than allowed',
}

export function openApiDocument(service: Service, routes: readonly Route[]): Json {
  const secured = service.options.apiKeys.length > 0
  const [model = 'nvidia/cosmos-embed1'] =
    service.model.reason === undefined ? service.model.info.model.servedNames : []
  const request = { schema: requestSchema(service), examples: examplesFor(model) }
  const paths = Object.fromEntries(
    routes.map((route) => [route.url, { [route.method.toLowerCase()]: operation(route, request, secured) }]),
  )
  return {
    openapi: '3.1.0',
    info: {
      title: 'cosmos-embed',
      version: VERSION,
      description: 'Embeddings of text and video, as the Cosmos-Embed1 NIM serves them.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: secured ? [{ bearer: [] }] : [],
    paths,
    components: {
      schemas: componentSchemas(),
      ...(secured && { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }),
    },
  }
}

function operation(route: Route, request: Json, secured: boolean): Json {
  const errors = route.open ? route.errors : [...(secured ? [401] : []), 403, ...route.errors]
  return {
    operationId: route.id,
    summary: route.summary,
    ...(route.open && { security: [] }),
    ...(route.method === 'POST' && {
      requestBody: { required: true, content: { 'application/json': request } },
    }),
    responses: {
      200: {
        description: 'The answer',
        headers: { 'x-request-id': requestIdHeader },
        content:
          route.response === 'text/plain'
            ? { 'text/plain': { schema: { type: 'string' } } }
            : { 'application/json': { schema: reference(route.response) } },
      },
      ...(route.id === 'getReadiness' && {
        503: {
          description: 'Not now; `message` says why',
          content: { 'application/json': { schema: reference(health) } },
        },
      }),
      ...Object.fromEntries(errors.map((status) => [status, errorResponse(status)])),
    },
  }
}

const requestIdHeader = { description: 'Names this request in the log.', schema: { type: 'string' } }

function errorResponse(status: number): Json {
  const header = (description: string) => ({ description, schema: { type: 'string' } })
  return {
    description: statusText[status] ?? 'The request was refused',
    headers: {
      'x-request-id': requestIdHeader,
      'x-should-retry': header('Whether the same request may succeed later: true or false.'),
      ...((status === 429 || status === 503) && { 'retry-after': header('Seconds.') }),
    },
    content: { 'application/json': { schema: reference(errorBody) } },
  }
}

/** Requests that this server takes. */
const examplesFor = (model: string): Json => ({
  text: {
    summary: 'One text',
    value: { request_type: 'query', input: 'a red circle moving left', model },
  },
  texts: {
    summary: 'Many texts, compact',
    value: {
      request_type: 'bulk_text',
      input: ['a red circle', 'a blue square'],
      model,
      encoding_format: 'base64',
    },
  },
  videos: {
    summary: 'Videos by URL',
    value: {
      request_type: 'bulk_video',
      input: ['data:video/mp4;presigned_url,https://storage.example/a.mp4?signature=1'],
      model,
    },
  },
})

/** One variant per `request_type`, with what only the running server knows: its model's names and its limit of items. */
function requestSchema({ model }: Service): Json {
  const { $schema: _, ...schema } = z.toJSONSchema(wireRequestSchema) as Json & { oneOf: Json[] }
  if (model.reason !== undefined) return schema
  const { model: served, limits } = model.info
  return {
    ...schema,
    oneOf: schema.oneOf.map((variant) => {
      const properties = variant.properties as { input: { anyOf: Json[] } } & Json
      const anyOf = properties.input.anyOf.map((form) =>
        form.type === 'array' ? { ...form, maxItems: limits.input.maxItems } : form,
      )
      return {
        ...variant,
        properties: {
          ...properties,
          input: { ...properties.input, anyOf },
          model: { type: 'string', enum: served.servedNames },
        },
      }
    }),
  }
}

const uri = (id: string) => `#/components/schemas/${id}`

function reference(schema: z.ZodType): Json {
  return { $ref: uri(components.get(schema)?.id ?? '') }
}

function componentSchemas(): Record<string, Json> {
  const { schemas } = z.toJSONSchema(components, { uri })
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema]),
  )
}
