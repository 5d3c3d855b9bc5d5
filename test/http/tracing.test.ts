import {
  type Context,
  type ContextManager,
  context,
  propagation,
  ROOT_CONTEXT,
  trace,
} from '@opentelemetry/api'
import { MediaError } from 'cosmos-embed'
import { afterEach, describe, expect, it } from 'vitest'
import { post, serveDouble } from './support.ts'

interface Recorded {
  name: string
  parent: string | undefined
  attributes: Record<string, unknown>
  status?: number
  ended: boolean
}

/** As much of an SDK as is needed to see what would be exported. */
function record(): Recorded[] {
  const spans: Recorded[] = []
  const span = (name: string, attributes: object, parent: Context) => {
    const recorded: Recorded = {
      name,
      parent: parent.getValue(parentKey) as string | undefined,
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
    startActiveSpan: (
      name: string,
      options: { attributes: object },
      parent: Context,
      run: (span: never) => unknown,
    ) => run(span(name, options.attributes, parent) as never),
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

  it('say how a call failed', async () => {
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
