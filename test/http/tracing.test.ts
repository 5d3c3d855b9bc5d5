import {
  type Context,
  type ContextManager,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  trace,
} from '@opentelemetry/api'
import { MediaError } from 'cosmos-embed'
import { afterEach, describe, expect, it } from 'vitest'
import { post, serveDouble } from './support.ts'

interface Recorded {
  name: string
  parent: string | undefined
  kind: SpanKind | undefined
  attributes: Record<string, unknown>
  status?: number
  ended: boolean
}

/** A minimal SDK that records what would be exported. */
function record(): Recorded[] {
  const spans: Recorded[] = []
  const span = (name: string, { kind, attributes }: SpanOptions, parent: Context) => {
    const recorded: Recorded = {
      name,
      parent: parent.getValue(parentKey) as string | undefined,
      kind,
      attributes: { ...attributes },
      ended: false,
    }
    spans.push(recorded)
    return {
      setAttribute: (key: string, value: unknown) => {
        recorded.attributes[key] = value
      },
      setStatus: ({ code }: { code: number }) => {
        recorded.status = code
      },
      end: () => {
        recorded.ended = true
      },
    }
  }
  const tracer = {
    startActiveSpan: (name: string, options: SpanOptions, parent: Context, run: (span: never) => unknown) =>
      run(span(name, options, parent) as never),
  }
  trace.setGlobalTracerProvider({ getTracer: () => tracer as never })
  propagation.setGlobalPropagator({
    inject: () => {},
    fields: () => ['traceparent'],
    extract: (from, carrier) => from.setValue(parentKey, (carrier as { traceparent?: string }).traceparent),
  })
  context.setGlobalContextManager({
    active: () => ROOT_CONTEXT,
    disable: () => {},
  } as unknown as ContextManager)
  return spans
}

const parentKey = Symbol('parent')
const query = { request_type: 'query', input: 'a red circle', model: 'double' }

afterEach(() => {
  trace.disable()
  propagation.disable()
  context.disable()
})

describe('spans', () => {
  it('follow the conventions and continue the trace of the caller', async () => {
    const spans = record()
    const { url } = await serveDouble()
    await post(url, query, { headers: { traceparent: '00-aa-bb-01' } })
    expect(spans).toEqual([
      {
        name: 'embeddings double',
        parent: '00-aa-bb-01',
        kind: SpanKind.SERVER,
        attributes: expect.objectContaining({
          'gen_ai.operation.name': 'embeddings',
          'gen_ai.request.model': 'double',
          'gen_ai.request.encoding_formats': ['float'],
          'gen_ai.usage.input_tokens': 1,
          'cosmos_embed.request_type': 'query',
          'cosmos_embed.total_ms': 1.25,
        }),
        ended: true,
      },
    ])
    expect(JSON.stringify(spans)).not.toContain('red circle')
  })

  it('are children of the active span, which has continued the trace', async () => {
    const spans = record()
    const http = { spanContext: () => ({}) } as unknown as Span
    const within = trace.setSpan(ROOT_CONTEXT.setValue(parentKey, 'the span of HTTP'), http)
    context.disable()
    context.setGlobalContextManager({ active: () => within, disable: () => {} } as unknown as ContextManager)
    const { url } = await serveDouble()
    await post(url, query, { headers: { traceparent: '00-aa-bb-01' } })
    expect(spans).toMatchObject([
      { name: 'embeddings double', parent: 'the span of HTTP', kind: SpanKind.INTERNAL },
    ])
  })

  it('cover a response in lines until its end', async () => {
    const spans = record()
    const { url } = await serveDouble()
    const body = { input: 'data:video/mp4;base64,AAAA', window_seconds: 1, model: 'double' }
    await post(url, body, { headers: { traceparent: '00-aa-bb-01' } }, '/v1/segments')
    expect(spans).toMatchObject([
      {
        name: 'segments double',
        parent: '00-aa-bb-01',
        kind: SpanKind.SERVER,
        attributes: { 'cosmos_embed.items': 2, 'cosmos_embed.input_type': 'video_base64' },
        ended: true,
      },
    ])
  })

  it('record how a request failed', async () => {
    const spans = record()
    const before = () => {
      throw new MediaError('no frame')
    }
    const { url } = await serveDouble({}, { before })
    await post(url, query)
    expect(spans).toMatchObject([{ status: 2, ended: true, attributes: { 'error.type': 'media' } }])
  })

  it('can be switched off', async () => {
    const spans = record()
    const { url } = await serveDouble({ tracing: false })
    await post(url, query)
    expect(spans).toEqual([])
  })
})
