/** The example for OpenTelemetry, with a collector in this process. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { expect, it, onTestFinished } from 'vitest'
import { serve } from './support.ts'

interface Otlp {
  resourceSpans?: {
    scopeSpans: { spans: { name: string; attributes: { key: string; value: object }[] }[] }[]
  }[]
  resourceMetrics?: { scopeMetrics: { metrics: { name: string }[] }[] }[]
}

async function collector() {
  const received: Record<string, Otlp[]> = {}
  const server = createServer(async (request, response) => {
    const { url = '' } = request
    received[url] = [...(received[url] ?? []), (await json(request)) as Otlp]
    response.setHeader('content-type', 'application/json').end('{}')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return { received, endpoint: `http://127.0.0.1:${port}` }
}

it('opentelemetry sends spans and metrics to a collector', async () => {
  const { received, endpoint } = await collector()
  const { address, child, exit } = await serve('opentelemetry/main.mjs', [], {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
  })
  const answer = await fetch(`${address}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ request_type: 'query', input: 'a red circle', model: 'cosmos-embed-demo' }),
  })
  expect(answer.status).toBe(200)
  child.kill('SIGTERM')
  expect(await exit).toBe(0)
  const spans = received['/v1/traces']
    ?.flatMap(({ resourceSpans = [] }) => resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
  expect(spans?.map(({ name }) => name)).toEqual(['embeddings cosmos-embed-demo'])
  expect(spans?.[0]?.attributes).toContainEqual({
    key: 'cosmos_embed.request_type',
    value: { stringValue: 'query' },
  })
  const names = received['/v1/metrics']
    ?.flatMap(({ resourceMetrics = [] }) => resourceMetrics)
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }) => name)))
  for (const name of [
    'gen_ai.server.request.duration',
    'cosmos_embed.item.duration',
    'cosmos_embed.batches',
  ]) {
    expect(names).toContain(name)
  }
})

it('opentelemetry says when no collector answers', async () => {
  const { child, exit, stderr } = await serve('opentelemetry/main.mjs', [], {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    OTEL_EXPORTER_OTLP_TIMEOUT: '500', // milliseconds, with all tries
  })
  child.kill('SIGTERM')
  await exit
  expect(stderr()).toContain('ECONNREFUSED 127.0.0.1:9')
})
