/** Records what one embedder does with instruments of OpenTelemetry. Loads nothing: the caller brings the meter. */
import type { Attributes, BatchObservableResult, Meter, Observable } from '@opentelemetry/api'
import type { Embedder, EmbedderStats, ItemEvent, Timings } from '../types.ts'

/** Upper bounds in seconds, those that OpenTelemetry advises for generative AI, with finer ones for short stages. */
export const secondsBounds: number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
  81.92,
]

/** Begins to record. The returned function ends it. */
export function meterEmbedder(meter: Meter, embedder: Embedder, attributes: Attributes): () => void {
  const stops = [recordItems(meter, embedder, attributes), observeStats(meter, embedder, attributes)]
  return () => {
    for (const stop of stops.splice(0)) stop()
  }
}

/** Durations can only be recorded when they happen; an asynchronous instrument cannot be a histogram. */
function recordItems(meter: Meter, embedder: Embedder, attributes: Attributes): () => void {
  const histogram = (name: string, description: string) =>
    meter.createHistogram(name, {
      description,
      unit: 's',
      advice: { explicitBucketBoundaries: secondsBounds },
    })
  const items = histogram('cosmos_embed.item.duration', 'Time of an item, from its admission to its end.')
  const stages = histogram('cosmos_embed.stage.duration', 'Time of an item in one stage.')
  return embedder.observe(({ kind, priority, outcome, code, timings }: ItemEvent) => {
    items.record(timings.total / 1000, {
      ...attributes,
      'cosmos_embed.kind': kind,
      'cosmos_embed.priority': priority,
      ...(outcome !== 'ok' && { 'error.type': code ?? outcome }),
    })
    for (const stage of Object.keys(timings) as (keyof Timings)[]) {
      // A stage that took no time was skipped.
      if (stage === 'total' || timings[stage] === 0) continue
      stages.record(timings[stage] / 1000, { ...attributes, 'cosmos_embed.stage': stage })
    }
  })
}

type Read = (stats: EmbedderStats, observe: (value: number, labels?: Attributes) => void) => void

/** What `stats()` counts anyway is read when the SDK collects, so that nothing is counted twice. */
function observeStats(meter: Meter, embedder: Embedder, attributes: Attributes): () => void {
  const reads: [Observable, Read][] = []
  const add = (instrument: Observable, read: Read) => void reads.push([instrument, read])
  const counter = (name: string, unit: string, description: string, read: Read) =>
    add(meter.createObservableCounter(name, { description, unit }), read)
  const level = (name: string, unit: string, description: string, read: Read) =>
    add(meter.createObservableUpDownCounter(name, { description, unit }), read)

  counter('cosmos_embed.calls', '{call}', 'Calls that have ended.', ({ requests }, observe) => {
    const { total: _, ...outcomes } = requests
    for (const [outcome, count] of Object.entries(outcomes))
      observe(count, { 'cosmos_embed.outcome': outcome })
  })
  counter('cosmos_embed.tokens', '{token}', 'Text tokens embedded.', ({ tokens }, observe) => observe(tokens))
  counter('cosmos_embed.batches', '{batch}', 'Batches of the engine.', ({ batches }, observe) => {
    for (const [kind, { count }] of Object.entries(batches)) observe(count, { 'cosmos_embed.kind': kind })
  })
  counter('cosmos_embed.batch.items', '{item}', 'Items of these batches.', ({ batches }, observe) => {
    for (const [kind, { items }] of Object.entries(batches)) observe(items, { 'cosmos_embed.kind': kind })
  })
  level(
    'cosmos_embed.queue.items',
    '{item}',
    'Items in a stage or waiting for it.',
    ({ queues }, observe) => {
      for (const [stage, states] of Object.entries(queues)) {
        for (const [state, count] of Object.entries(states)) {
          observe(count, { 'cosmos_embed.stage': stage, 'cosmos_embed.state': state })
        }
      }
    },
  )
  level('cosmos_embed.inflight.items', '{item}', 'Items admitted.', ({ inFlight }, observe) =>
    observe(inFlight.items),
  )
  level('cosmos_embed.inflight.bytes', 'By', 'Bytes of media in memory.', ({ inFlight }, observe) =>
    observe(inFlight.bytes),
  )
  if (embedder.info().device.kind === 'cuda') {
    counter('cosmos_embed.gpu.decoded_clips', '{clip}', 'Decoded clips, by decoder.', ({ gpus }, observe) => {
      for (const { device, nvdec, software } of gpus) {
        observe(nvdec, { 'cosmos_embed.gpu': device, 'cosmos_embed.decoder': 'nvdec' })
        observe(software, { 'cosmos_embed.gpu': device, 'cosmos_embed.decoder': 'software' })
      }
    })
  }

  if (embedder.info().decoders) {
    level(
      'cosmos_embed.decoder.processes',
      '{process}',
      'Decoder processes, by state.',
      ({ decoders }, observe) => {
        for (const state of ['idle', 'busy'] as const) {
          if (decoders) observe(decoders[state], { 'cosmos_embed.state': state })
        }
      },
    )
    counter('cosmos_embed.decoder.events', '{event}', 'What happened to them.', ({ decoders }, observe) => {
      for (const event of ['started', 'crashed', 'ended', 'retired'] as const) {
        if (decoders) observe(decoders[event], { 'cosmos_embed.event': event })
      }
    })
  }

  const instruments = reads.map(([instrument]) => instrument)
  const collect = (result: BatchObservableResult) => {
    const stats = embedder.stats()
    for (const [instrument, read] of reads) {
      read(stats, (value, labels) => result.observe(instrument, value, { ...attributes, ...labels }))
    }
  }
  meter.addBatchObservableCallback(collect, instruments)
  return () => meter.removeBatchObservableCallback(collect, instruments)
}
