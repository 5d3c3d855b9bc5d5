// A server whose traces and metrics go to an OpenTelemetry collector:
//
//   OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 node examples/opentelemetry/main.mjs

import process from 'node:process'
import { DiagConsoleLogger, DiagLogLevel, diag, metrics } from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import { createEmbedder } from 'cosmos-embed'
import { createServer } from 'cosmos-embed/http'

// Without this, a collector that is away goes unnoticed.
diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN)
// First the SDK: what is created before it records nothing.
const tracing = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] })
tracing.register()
const reader = new PeriodicExportingMetricReader({
  exporter: new OTLPMetricExporter(),
  exportIntervalMillis: 10_000,
})
const metering = new MeterProvider({ readers: [reader] })
metrics.setGlobalMeterProvider(metering)

// The server finds it by itself. Without a server, meterEmbedder() of cosmos-embed/opentelemetry does the metrics.
const embedder = createEmbedder({ model: process.env.MODEL })
const server = await createServer({ embedder })
const address = await server.listen({ port: Number(process.env.PORT ?? 8000) })
await server.ready
console.log(`serves at ${address}`)

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)

async function stop() {
  // Counters and queues are read when they are sent, so once more while the server has them.
  await metering.forceFlush()
  await server.close()
  await Promise.all([tracing.shutdown(), metering.shutdown()])
  await (await embedder).dispose()
}
