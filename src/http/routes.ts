/** The table of routes: what is registered, what answers 405, and what the OpenAPI document lists. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import * as about from './metadata.ts'
import { embeddings } from './embeddings.ts'
import type { BodyKind } from './parse-body.ts'
import * as schemas from './schemas.ts'
import { segments } from './segments.ts'
import type { Service } from './service.ts'

export interface Route {
  method: 'GET' | 'POST'
  url: string
  /** As the OpenAPI document has it, where that is not `url`. */
  path?: string
  /** For the OpenAPI document. */
  id: string
  summary: string
  /** Of the body that is sent. */
  body?: BodyKind
  /** Of the 200 body; text when it is no JSON. */
  response: z.ZodType | 'text/plain'
  /** The 200 body is lines, each of which is as `response` says. */
  lines?: true
  /** Statuses of the error body that the route may answer with. */
  errors: readonly number[]
  /** No key is asked for. */
  open?: true
  /** Sends the answer or returns its JSON. */
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
    summary: 'Embed the parts of one video, a line for each, while they are computed',
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
    summary: 'Whether requests are answered now',
    response: schemas.health,
    errors: [],
    open: true,
    handle: (service, _, reply) => {
      const { status, body } = about.ready(service)
      return reply.code(status).send(body)
    },
  },
  {
    method: 'GET',
    url: '/v1/health/live',
    id: 'getLiveness',
    summary: 'Whether the process answers',
    response: schemas.health,
    errors: [],
    open: true,
    handle: () => about.live(),
  },
  {
    method: 'GET',
    url: '/v1/models',
    id: 'listModels',
    summary: 'Names of the model',
    response: schemas.modelList,
    errors: notLoaded,
    handle: about.models,
  },
  {
    method: 'GET',
    // Names have slashes, which some clients encode.
    url: '/v1/models/*',
    path: '/v1/models/{model}',
    id: 'getModel',
    summary: 'Whether the model has this name',
    response: schemas.model,
    errors: [404, ...notLoaded],
    handle: (service, request) => about.model(service, (request.params as { '*': string })['*']),
  },
  {
    method: 'GET',
    url: '/v1/metadata',
    id: 'getMetadata',
    summary: 'The model, what runs it, and every limit',
    response: schemas.metadata,
    errors: notLoaded,
    handle: about.metadata,
  },
  {
    method: 'GET',
    url: '/v1/manifest',
    id: 'getManifest',
    summary: 'The manifest of the model bundle',
    response: schemas.manifest,
    errors: notLoaded,
    handle: about.manifest,
  },
  {
    method: 'GET',
    url: '/v1/license',
    id: 'getLicense',
    summary: 'The licence of the model',
    response: schemas.license,
    errors: notLoaded,
    handle: about.license,
  },
  {
    method: 'GET',
    url: '/v1/version',
    id: 'getVersion',
    summary: 'Versions of this package and of the interface',
    response: schemas.version,
    errors: [],
    handle: about.version,
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
      summary: 'Metrics as JSON; times are in seconds',
      response: schemas.jsonMetrics,
      errors: [],
      handle: ({ metrics }) => metrics.json(),
    }),
  ),
]
