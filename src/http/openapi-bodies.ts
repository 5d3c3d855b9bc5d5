/** Request bodies of the OpenAPI document: schemas, narrowed to the served model, and examples. */
import { z } from 'zod'
import { openAiRequestSchema, segmentsRequestSchema, wireRequestSchema } from '../request/wire.ts'
import type { EmbedderInfo } from '../types.ts'
import type { Json } from './openapi.ts'
import type { BodyKind } from './parse-body.ts'
import type { Service } from './service.ts'

/** The schema of one form of a request body. All forms have the fields `input` and `model`. */
interface Variant extends Json {
  properties: { input: { anyOf?: Json[] } & Json } & Json
}

export function requestBodies({ model, options }: Service): Record<BodyKind, Json> {
  const info = model.notReadyReason === undefined ? model.info : undefined
  const [name = 'nvidia/cosmos-embed1'] = info?.model.servedNames ?? []
  const { oneOf, ...embeddings } = toSchema(wireRequestSchema) as Json & { oneOf: Variant[] }
  const dimension = info?.model.embeddingDim
  const openAi = options.inferRequestType && dimension ? [toSchema(openAiRequestSchema(dimension))] : []
  const variants = [...oneOf, ...(openAi as Variant[])]
  return {
    embeddings: {
      schema: { ...embeddings, oneOf: variants.map((variant) => narrow(variant, info)) },
      examples: embeddingExamples(name),
    },
    segments: {
      schema: narrow(toSchema(segmentsRequestSchema) as Variant, info),
      examples: segmentExamples(name),
    },
  }
}

function toSchema(schema: z.ZodType): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema) as Json
  return json
}

/** Adds the names of the served model and the limit on items. */
function narrow(variant: Variant, info: EmbedderInfo | undefined): Json {
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
  shots: { summary: 'One per shot', value: { input: url, shots: true, model } },
  cuts: { summary: 'Between known cuts', value: { input: url, at: [12.5, 31], model } },
})
