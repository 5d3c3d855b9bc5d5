/** The bodies that are sent, for the OpenAPI document: their schemas with what only the running server knows, and examples. */
import { z } from 'zod'
import { openAiRequestSchema, segmentsRequestSchema, wireRequestSchema } from '../request/wire.ts'
import type { EmbedderInfo } from '../types.ts'
import type { Json } from './openapi.ts'
import type { BodyKind } from './parse-body.ts'
import type { Service } from './service.ts'

/** An object with the fields `input` and `model`, as all of them are. */
interface Variant extends Json {
  properties: { input: { anyOf?: Json[] } & Json } & Json
}

export function requestBodies({ model, options }: Service): Record<BodyKind, Json> {
  const info = model.reason === undefined ? model.info : undefined
  const [name = 'nvidia/cosmos-embed1'] = info?.model.servedNames ?? []
  const { oneOf, ...embeddings } = toSchema(wireRequestSchema) as Json & { oneOf: Variant[] }
  const dimension = info?.model.embeddingDim
  const more = options.inferRequestType && dimension ? [toSchema(openAiRequestSchema(dimension))] : []
  const variants = [...oneOf, ...(more as Variant[])]
  return {
    embeddings: {
      schema: { ...embeddings, oneOf: variants.map((variant) => served(variant, info)) },
      examples: embeddingExamples(name),
    },
    segments: {
      schema: served(toSchema(segmentsRequestSchema) as Variant, info),
      examples: segmentExamples(name),
    },
  }
}

function toSchema(schema: z.ZodType): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema) as Json
  return json
}

/** With the names of the model that runs, and its limit of items. */
function served(variant: Variant, info: EmbedderInfo | undefined): Json {
  if (!info) return variant
  const { properties } = variant
  const { anyOf, ...input } = properties.input
  const limited = anyOf?.map((form) =>
    form.type === 'array' ? { ...form, maxItems: info.limits.input.maxItems } : form,
  )
  return {
    ...variant,
    properties: {
      ...properties,
      input: { ...input, ...(limited && { anyOf: limited }) },
      model: { type: 'string', enum: info.model.servedNames },
    },
  }
}

const url = 'data:video/mp4;presigned_url,https://storage.example/a.mp4?signature=1'

const embeddingExamples = (model: string): Json => ({
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
    value: { request_type: 'bulk_video', input: [url], model },
  },
})

const segmentExamples = (model: string): Json => ({
  windows: {
    summary: 'Ten seconds each, every five',
    value: { input: url, window_seconds: 10, stride_seconds: 5, model },
  },
})
