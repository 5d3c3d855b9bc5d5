/** The metrics of `cosmos-embed index`. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { IndexTally } from '../bulk/build.ts'
import { InvalidArgumentError } from '../errors.ts'
import { addProcessMetrics } from '../http/metrics/process-metrics.ts'
import { Registry } from '../http/metrics/prometheus.ts'

export interface MetricsServer extends AsyncDisposable {
  port: number
}

/**
 * Serves `GET /metrics` with the progress of the run in Prometheus' text format, on all addresses of the machine. Rejects
 * with InvalidArgumentError if the port is not available.
 */
export async function serveMetrics(
  port: number,
  tally: () => IndexTally | undefined,
): Promise<MetricsServer> {
  const registry = registryOf(tally)
  const stop = addProcessMetrics(registry)
  const server = createServer((request, response) => {
    const isMetrics = request.url?.split('?')[0] === '/metrics'
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const status = isMetrics ? (isRead ? 200 : 405) : 404
    response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    response.end(status === 200 ? registry.render() : 'the metrics are at GET /metrics\n')
  })
  // The metrics server must not keep the process alive.
  server.unref()
  try {
    server.listen(port)
    await once(server, 'listening')
  } catch (cause) {
    stop()
    throw new InvalidArgumentError(`--metrics-port ${port}: ${(cause as Error).message}`, { cause })
  }
  const close = async () => {
    stop()
    server.close()
    server.closeAllConnections()
  }
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close }
}

function registryOf(tally: () => IndexTally | undefined): Registry {
  const registry = new Registry()
  const counter = (name: string, help: string, read: (now: IndexTally) => number) =>
    registry.callback('counter', `cosmos_embed_index_${name}`, help, () => readOr(tally(), read))
  registry.callback(
    'counter',
    'cosmos_embed_index_items_total',
    'Items of the sources that have been processed, by outcome.',
    () =>
      (['embedded', 'skipped', 'repeated', 'failed'] as const).map((outcome) => ({
        labels: { outcome },
        value: readOr(tally(), (now) => now[outcome]),
      })),
  )
  registry.callback('gauge', 'cosmos_embed_index_items_expected', 'Items in the sources.', () =>
    readOr(tally(), ({ total }) => total),
  )
  counter('vectors_total', 'Vectors written.', ({ rows }) => rows)
  counter('media_bytes_total', 'Bytes of media read.', ({ bytes }) => bytes)
  return registry
}

function readOr(tally: IndexTally | undefined, read: (now: IndexTally) => number): number {
  return tally ? read(tally) : 0
}
