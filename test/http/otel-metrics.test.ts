/** Metrics through OpenTelemetry's API, with its own SDK. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { readFileSync } from 'node:fs'
import { metrics } from '@opentelemetry/api'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { MediaError, type RequestEvent } from 'cosmos-embed'
import { meterEmbedder } from 'cosmos-embed/opentelemetry'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { type DoubleOptions, doubleEmbedder } from './embedder-double.ts'
import { post, serveDouble } from './support.ts'

class Reader extends MetricReader {
  protected async onShutdown() {}
  protected async onForceFlush() {}

  /** The points of each metric: attributes and value; of a histogram, its count. */
  async read(): Promise<Record<string, { attributes: object; value: unknown }[]>> {
    const { resourceMetrics } = await this.collect()
    const all = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
    return Object.fromEntries(
      all.map(({ descriptor, dataPoints }) => [
        descriptor.name,
        dataPoints.map(({ attributes, value }) => ({
          attributes,
          value: typeof value === 'number' ? value : value.count,
        })),
      ]),
    )
  }
}

function install(): Reader {
  const reader = new Reader()
  const provider = new MeterProvider({ readers: [reader] })
  metrics.setGlobalMeterProvider(provider)
  onTestFinished(() => provider.shutdown())
  return reader
}

afterEach(() => metrics.disable())

const query = { request_type: 'query', input: 'a red circle', model: 'double' }
const timings = { download: 0, open: 3, decode: 40, convert: 0, queue: 0, encode: 700, total: 800 }
const model = { 'gen_ai.request.model': 'double' }

describe('a server', () => {
  it('records requests and what its embedder does', async () => {
    const reader = install()
    const before = ({ input }: { input: unknown }) => {
      if (JSON.stringify(input).includes('bad')) throw new MediaError('no frame')
    }
    const { url, double } = await serveDouble({}, { before })
    await post(url, query)
    await post(url, { ...query, input: 'bad' })
    await post(url, '{')
    double.emit({ kind: 'video', priority: 'bulk', timings })
    double.emit({ kind: 'text', outcome: 'error', code: 'limit', timings: { ...timings, decode: 0 } })
    const read = await reader.read()
    const request = (more: object) => ({
      ...model,
      'gen_ai.provider.name': 'cosmos-embed',
      'gen_ai.operation.name': 'embeddings',
      ...more,
    })
    expect(read['gen_ai.server.request.duration']).toEqual([
      {
        attributes: request({ 'cosmos_embed.request_type': 'query', 'http.response.status_code': 200 }),
        value: 1,
      },
      {
        attributes: request({
          'cosmos_embed.request_type': 'query',
          'http.response.status_code': 422,
          'error.type': 'media',
        }),
        value: 1,
      },
      {
        attributes: request({
          'cosmos_embed.request_type': 'unknown',
          'http.response.status_code': 400,
          'error.type': 'invalid_json',
        }),
        value: 1,
      },
    ])
    expect(read['cosmos_embed.item.duration']).toEqual([
      { attributes: { ...model, 'cosmos_embed.kind': 'video', 'cosmos_embed.priority': 'bulk' }, value: 1 },
      {
        attributes: {
          ...model,
          ...{ 'cosmos_embed.kind': 'text', 'cosmos_embed.priority': 'query', 'error.type': 'limit' },
        },
        value: 1,
      },
    ])
    const stages = read['cosmos_embed.stage.duration']?.map(({ attributes, value }) => [
      (attributes as Record<string, string>)['cosmos_embed.stage'],
      value,
    ])
    expect(stages).toEqual([
      ['open', 2],
      ['decode', 1],
      ['encode', 2],
    ])
    const { batches, tokens } = double.stats()
    expect(read['cosmos_embed.tokens']).toEqual([{ attributes: model, value: tokens }])
    expect(read['cosmos_embed.batch.items']).toContainEqual({
      attributes: { ...model, 'cosmos_embed.kind': 'text' },
      value: batches.text.items,
    })
    expect(JSON.stringify(read)).not.toContain('red circle')
  })

  it('stops with the server, and can be switched off', async () => {
    const reader = install()
    const { url, server, double } = await serveDouble()
    await post(url, query)
    await server.close()
    await reader.read()
    double.emit({ timings })
    expect((await reader.read())['cosmos_embed.item.duration'] ?? []).toEqual([])
    const off = await serveDouble({ otelMetrics: false })
    await post(off.url, query)
    const [requests] = (await reader.read())['gen_ai.server.request.duration'] ?? []
    expect(requests?.value).toBe(1)
  })
})

it('docs/observability.md names every metric and attribute', async () => {
  const docs = readFileSync(new URL('../../docs/observability.md', import.meta.url), 'utf8')
  const reader = install()
  const decoders = { idle: 1, busy: 2, started: 9, crashed: 3, ended: 2, retired: 1 }
  const { url, double } = await serveDouble({}, { device: 'cuda', decoders })
  await post(url, '{')
  double.emit({ kind: 'video', outcome: 'cancelled', timings })
  const read = await reader.read()
  const attributes = Object.values(read).flatMap((points) =>
    points.flatMap((point) => Object.keys(point.attributes)),
  )
  expect(Object.keys(read).length).toBeGreaterThan(9)
  for (const name of new Set([...Object.keys(read), ...attributes])) expect(docs).toContain(`\`${name}\``)
})

describe('meterEmbedder', () => {
  const metered = async (options: DoubleOptions = {}, given: object = {}) => {
    const reader = new Reader()
    const meterProvider = new MeterProvider({ readers: [reader] })
    onTestFinished(() => meterProvider.shutdown())
    const embedder = doubleEmbedder(options)
    return { reader, embedder, stop: meterEmbedder(embedder, { meterProvider, ...given }) }
  }

  it('takes a provider and attributes, and ends', async () => {
    const { reader, embedder, stop } = await metered({}, { attributes: { site: 'a' } })
    await embedder.embedText('a')
    const calls = (await reader.read())['cosmos_embed.calls']
    const succeeded = { ...model, site: 'a', 'cosmos_embed.outcome': 'succeeded' }
    expect(calls).toContainEqual({ attributes: succeeded, value: 1 })
    expect(await reader.read()).not.toHaveProperty('cosmos_embed.gpu.decoded_clips')
    stop()
    await embedder.embedText('a')
    // The SDK repeats the last value of what is no longer observed.
    expect((await reader.read())['cosmos_embed.calls']).toEqual(calls)
  })

  it('counts the processes that decode', async () => {
    const decoders = { idle: 1, busy: 2, started: 9, crashed: 3, ended: 2, retired: 1 }
    const { reader } = await metered({ decoders })
    const read = await reader.read()
    expect(read['cosmos_embed.decoder.processes']?.map(({ value }) => value)).toEqual([1, 2])
    expect(read['cosmos_embed.decoder.events']?.map(({ value }) => value)).toEqual([9, 3, 2, 1])
    expect(read['cosmos_embed.decoder.events']?.[1]?.attributes).toEqual({
      ...model,
      'cosmos_embed.event': 'crashed',
    })
  })

  it('counts the clips of each GPU', async () => {
    const { reader } = await metered({ device: 'cuda' })
    const clips = (await reader.read())['cosmos_embed.gpu.decoded_clips']
    expect(clips?.map(({ value }) => value)).toEqual([3, 1])
    expect(clips?.[0]?.attributes).toMatchObject({ 'cosmos_embed.gpu': 0, 'cosmos_embed.decoder': 'nvdec' })
  })
})

it('the channel cosmos-embed:request tells every request', async () => {
  const seen: RequestEvent[] = []
  const listener = (event: unknown) => void seen.push(event as RequestEvent)
  subscribe('cosmos-embed:request', listener)
  onTestFinished(() => void unsubscribe('cosmos-embed:request', listener))
  const { url } = await serveDouble()
  await post(url, { ...query, request_type: 'bulk_text', input: ['a', 'b'] })
  await post(url, '{')
  const milliseconds = expect.any(Number)
  expect(seen).toEqual([
    { requestType: 'bulk_text', status: 200, inputs: 2, embeddings: 2, milliseconds },
    {
      requestType: 'unknown',
      status: 400,
      code: 'invalid_json',
      inputs: 0,
      embeddings: 0,
      milliseconds,
    },
  ])
})
