/** The table of routes, from which registration, 405 responses and the OpenAPI document are made. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { embeddings } from './embeddings.ts'
import * as metadata from './metadata.ts'
import type { BodyKind } from './parse-body.ts'
import * as schemas from './schemas.ts'
import { segments } from './segments.ts'
import type { Service } from './service.ts'

export interface Route {
  method: 'GET' | 'POST'
  url: string
  /** The path in the OpenAPI document, where it differs from `url`. */
  path?: string
  /** The `operationId` of the OpenAPI document. */
  id: string
  summary: string
  /** The kind of request body. */
  body?: BodyKind
  /** The schema of the 200 body, unless it is text. */
  response: z.ZodType | 'text/plain'
  /** The 200 body is lines of JSON, each of which has the schema `response`. */
  lines?: true
  /** The statuses of the route's error responses. */
  errors: readonly number[]
  /** Requests need no key and may use any host name. */
  open?: true
  /** Sends the response, or returns its JSON. */
  handle(service: Service, request: FastifyRequest, reply: FastifyReply): unknown
}

const notLoaded = [503] as const

export const apiRoutes: readonly Route[] = [
  {
    method: 'POST',
    url: '/v1/embeddings',
    id: 'createEmbeddings',
    summary: 'Embed texts or videos',
    body: 'embeddings',
    response: schemas.embeddingList,
    errors: [400, 408, 413, 415, 422, 429, 500, 502, 503, 504],
    handle: embeddings,
  },
  {
    method: 'POST',
    url: '/v1/segments',
    id: 'createSegments',
    summary: 'Embed the segments of one video, and send each as a line as soon as it is computed',
    body: 'segments',
    response: schemas.segmentsLine,
    lines: true,
    errors: [400, 408, 413, 415, 422, 429, 500, 502, 503, 504],
    handle: segments,
  },
  {
    method: 'GET',
    url: '/v1/health/ready',
    id: 'getReadiness',
    summary: 'Whether the server can answer requests',
    response: schemas.health,
    errors: [],
    open: true,
    handle: (service, _, reply) => {
      const { status, body } = metadata.ready(service)
      return reply.code(status).send(body)
    },
  },
  {
    method: 'GET',
    url: '/v1/health/live',
    id: 'getLiveness',
    summary: 'Whether the process runs',
    response: schemas.health,
    errors: [],
    open: true,
    handle: () => metadata.live(),
  },
  {
    method: 'GET',
    url: '/v1/models',
    id: 'listModels',
    summary: 'List the names of the model',
    response: schemas.modelList,
    errors: notLoaded,
    handle: metadata.models,
  },
  {
    method: 'GET',
    // A wildcard: names contain slashes, which some clients encode.
    url: '/v1/models/*',
    path: '/v1/models/{model}',
    id: 'getModel',
    summary: 'Look up one name of the model',
    response: schemas.model,
    errors: [404, ...notLoaded],
    handle: (service, request) => metadata.model(service, (request.params as { '*': string })['*']),
  },
  {
    method: 'GET',
    url: '/v1/metadata',
    id: 'getMetadata',
    summary: 'The model, its runtime and all limits',
    response: schemas.metadata,
    errors: notLoaded,
    handle: metadata.metadata,
  },
  {
    method: 'GET',
    url: '/v1/manifest',
    id: 'getManifest',
    summary: 'The manifest of the model bundle',
    response: schemas.manifest,
    errors: notLoaded,
    handle: metadata.manifest,
  },
  {
    method: 'GET',
    url: '/v1/license',
    id: 'getLicense',
    summary: 'The licence of the model',
    response: schemas.license,
    errors: notLoaded,
    handle: metadata.license,
  },
  {
    method: 'GET',
    url: '/v1/version',
    id: 'getVersion',
    summary: 'Versions of this package and of the API',
    response: schemas.version,
    errors: [],
    handle: metadata.version,
  },
]

export const metricsRoutes: readonly Route[] = [
  ...['/v1/metrics', '/metrics'].map(
    (url): Route => ({
      method: 'GET',
      url,
      id: url.startsWith('/v1') ? 'getPrometheusMetrics' : 'getPrometheusMetricsAlias',
      summary: 'Metrics for Prometheus',
      response: 'text/plain',
      errors: [],
      handle: ({ metrics }, _, reply) => {
        return reply.type('text/plain; version=0.0.4; charset=utf-8').send(metrics.registry.render())
      },
    }),
  ),
  ...['/health/metrics', '/v1/health/metrics'].map(
    (url): Route => ({
      method: 'GET',
      url,
      id: url.startsWith('/v1') ? 'getMetricsAlias' : 'getMetrics',
      summary: 'Metrics as JSON, times in seconds',
      response: schemas.jsonMetrics,
      errors: [],
      handle: ({ metrics }) => metrics.json(),
    }),
  ),
]
