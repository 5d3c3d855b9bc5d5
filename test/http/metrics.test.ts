import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { MediaError } from 'cosmos-embed'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { eventually, post, request, serveDouble } from './support.ts'

const query = { request_type: 'query', input: 'a red circle', model: 'double' }
const video = 'data:video/mp4;presigned_url,https://a.example/b.mp4'

/** Sends two texts, three in bulk, a video that fails, and a body that is not JSON. */
async function traffic() {
  const before = ({ input }: { input: unknown }) => {
    if (JSON.stringify(input).includes('presigned')) throw new MediaError('no frame')
  }
  const running = await serveDouble({}, { before })
  await post(running.url, query)
  await post(running.url, { ...query, encoding_format: 'base64' })
  await post(running.url, { ...query, request_type: 'bulk_text', input: ['a', 'b', 'c'] })
  await post(running.url, { ...query, input: video })
  await post(running.url, '{')
  return running
}

interface Family {
  type: string
  samples: Map<string, number>
}

/** Parses the text format strictly. */
function parsePrometheus(text: string): Map<string, Family> {
  const families = new Map<string, Family>()
  let current: Family | undefined
  let name = ''
  expect(text.endsWith('\n')).toBe(true)
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-z0-9_]+) (.+)$/.exec(line)
    if (comment) {
      const [, kind, family = '', rest = ''] = comment
      if (kind === 'HELP') {
        expect(families.has(family), `${family} appears twice`).toBe(false)
        current = { type: '', samples: new Map() }
        name = family
        families.set(family, current)
      } else if (current) {
        expect(family).toBe(name)
        expect(['counter', 'gauge', 'histogram']).toContain(rest)
        current.type = rest
      }
      continue
    }
    const sample = /^([a-z0-9_]+)(\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)+\})? (\S+)$/.exec(line)
    if (!sample) throw new Error(`not a sample: ${line}`)
    const [, metric = '', labels = '', value] = sample
    const suffixes = current?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
    expect(suffixes.map((suffix) => name + suffix)).toContain(metric)
    expect(Number.isNaN(Number(value)), line).toBe(false)
    current?.samples.set(metric + labels, Number(value))
  }
  return families
}

describe('GET /v1/metrics', () => {
  it('is in Prometheus’ text format, with the documented names', async () => {
    const { url } = await traffic()
    const { headers, body } = await request(`${url}/v1/metrics`)
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const families = parsePrometheus(body as string)
    const value = (family: string, sample = family) => families.get(family)?.samples.get(sample)
    expect(Object.fromEntries(families.get('cosmos_embed_requests_total')?.samples ?? [])).toEqual({
      'cosmos_embed_requests_total{request_type="bulk_video",status="200"}': 0,
      'cosmos_embed_requests_total{request_type="segments",status="200"}': 0,
      'cosmos_embed_requests_total{request_type="query",status="200"}': 2,
      'cosmos_embed_requests_total{request_type="bulk_text",status="200"}': 1,
      'cosmos_embed_requests_total{request_type="query",status="422"}': 1,
      'cosmos_embed_requests_total{request_type="unknown",status="400"}': 1,
    })
    expect(
      value('cosmos_embed_request_errors_total', 'cosmos_embed_request_errors_total{type="media"}'),
    ).toBe(1)
    expect(value('cosmos_embed_embeddings_total')).toBe(5)
    expect(value('cosmos_embed_videos_total')).toBe(0)
    expect(value('cosmos_embed_cancelled_total')).toBe(0)
    expect(value('cosmos_embed_ready')).toBe(1)
    const duration = families.get('cosmos_embed_request_duration_seconds')
    const labels = 'request_type="bulk_text",input_type="text",status="200"'
    expect(duration?.samples.get(`cosmos_embed_request_duration_seconds_count{${labels}}`)).toBe(1)
    expect(duration?.samples.get(`cosmos_embed_request_duration_seconds_bucket{${labels},le="+Inf"}`)).toBe(1)
    for (const name of [
      'queue_size',
      'inflight_items',
      'inflight_bytes',
      'stage_duration_seconds',
      'batch_size',
    ]) {
      expect(families.has(`cosmos_embed_${name}`), name).toBe(true)
    }
    expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e6)
  })

  it('has its counters from the start, so that no rate misses the first event', async () => {
    const { url } = await serveDouble()
    const families = parsePrometheus((await request(`${url}/metrics`)).body as string)
    for (const [name, label] of [
      ['cosmos_embed_requests_total', 'request_type="bulk_video",status="200"'],
      ['cosmos_embed_request_errors_total', 'type="media"'],
      ['cosmos_embed_request_errors_total', 'type="invalid_json"'],
      ['cosmos_embed_rejected_total', 'reason="overloaded"'],
      ['cosmos_embed_inflight_requests', 'request_type="query"'],
    ]) {
      expect(families.get(name as string)?.samples.get(`${name}{${label}}`), `${name} ${label}`).toBe(0)
    }
  })

  it('has cumulative histogram buckets', async () => {
    const { url, double } = await traffic()
    const timings = { download: 0, open: 3, decode: 40, convert: 0, queue: 0, encode: 700, total: 800 }
    double.emit({ kind: 'video', timings })
    const families = parsePrometheus((await request(`${url}/v1/metrics`)).body as string)
    const stage = families.get('cosmos_embed_stage_duration_seconds')?.samples
    const bucket = (name: string, le: string) =>
      stage?.get(`cosmos_embed_stage_duration_seconds_bucket{stage="${name}",le="${le}"}`)
    expect([bucket('decode', '0.025'), bucket('decode', '0.05'), bucket('decode', '+Inf')]).toEqual([0, 1, 1])
    expect([bucket('infer', '0.5'), bucket('infer', '1')]).toEqual([0, 1])
    expect(bucket('demux', '0.005')).toBe(1)
    expect(bucket('download', '+Inf')).toBeUndefined()
    const batches = families.get('cosmos_embed_batch_size')?.samples
    expect(batches?.get('cosmos_embed_batch_size_bucket{kind="text",le="2"}')).toBe(1)
    expect(batches?.get('cosmos_embed_batch_size_bucket{kind="text",le="4"}')).toBe(2)
    expect(batches?.get('cosmos_embed_batch_size_sum{kind="text"}')).toBe(5)
    for (const [name, { type, samples }] of families) {
      if (type !== 'histogram') continue
      const buckets = [...samples].filter(([sample]) => sample.startsWith(`${name}_bucket`))
      const last = new Map<string, number>()
      for (const [sample, value] of buckets) {
        const series = sample.replace(/,?le="[^"]+"/, '')
        expect(value).toBeGreaterThanOrEqual(last.get(series) ?? 0)
        last.set(series, value)
      }
    }
  })
})

describe('GPU gauges', () => {
  it('are read from nvidia-smi, for a model on a GPU', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-smi-'))
    // Fails unless it is asked for the GPU in use, by UUID.
    const script =
      '#!/bin/sh\n[ "$1" = --id=GPU-double ] || exit 1\necho "0, 50, 1000, 80000, 300.5"\necho "1, 0, 10, 80000, [N/A]"\n'
    writeFileSync(path.join(folder, 'nvidia-smi'), script, { mode: 0o755 })
    vi.stubEnv('PATH', `${folder}:${process.env.PATH}`)
    onTestFinished(() => {
      vi.unstubAllEnvs()
      rmSync(folder, { recursive: true })
    })
    const { url } = await serveDouble({}, { device: 'cuda' })
    await eventually(async () => {
      const families = parsePrometheus((await request(`${url}/v1/metrics`)).body as string)
      const samples = (name: string) => Object.fromEntries(families.get(name)?.samples ?? [])
      expect(samples('gpu_utilization')).toEqual({
        'gpu_utilization{gpu="0"}': 0.5,
        'gpu_utilization{gpu="1"}': 0,
      })
      expect(samples('gpu_memory_used_bytes')).toMatchObject({
        'gpu_memory_used_bytes{gpu="0"}': 1000 * 2 ** 20,
      })
      expect(samples('gpu_power_usage_watts')).toEqual({ 'gpu_power_usage_watts{gpu="0"}': 300.5 })
    })
  })

  it('come with counters of decoded clips', async () => {
    const { url } = await serveDouble({}, { device: 'cuda' })
    const families = parsePrometheus((await request(`${url}/v1/metrics`)).body as string)
    expect(Object.fromEntries(families.get('cosmos_embed_decoded_clips_total')?.samples ?? [])).toEqual({
      'cosmos_embed_decoded_clips_total{gpu="0",decoder="nvdec"}': 3,
      'cosmos_embed_decoded_clips_total{gpu="0",decoder="software"}': 1,
    })
    expect(Object.fromEntries(families.get('cosmos_embed_nvdec_clips')?.samples ?? [])).toEqual({
      'cosmos_embed_nvdec_clips{gpu="0",state="running"}': 2,
      'cosmos_embed_nvdec_clips{gpu="0",state="waiting"}': 5,
    })
  })

  it('are absent without a GPU', async () => {
    const { url } = await serveDouble()
    expect((await request(`${url}/v1/metrics`)).body).not.toMatch(/gpu_|nvdec|decoded_clips/)
  })
})

describe('GET /health/metrics', () => {
  it('has every documented key', async () => {
    const { url } = await traffic()
    const { body } = await request(`${url}/health/metrics`)
    const latency = expect.objectContaining({ p50: expect.any(Number), avg: expect.any(Number) })
    expect(body).toEqual({
      service: { uptime_seconds: expect.any(Number), start_time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) },
      requests: {
        total: 5,
        success: 3,
        error: 2,
        success_rate_percent: 60,
        error_rate_percent: 40,
        in_flight: 0,
        in_flight_by_type: {},
      },
      requests_by_type: { success: { query: 2, bulk_text: 1 }, error: { query: 1, unknown: 1 } },
      requests_by_input_type: {
        total: { text: 3, video_presigned_url: 1, unknown: 1 },
        success: { text: 3 },
        error: { video_presigned_url: 1, unknown: 1 },
      },
      encoding_format_distribution: { float: 3, base64: 1 },
      status_codes: { 200: 3, 400: 1, 422: 1 },
      errors_by_classification: { media: 1, invalid_json: 1 },
      latency: {
        p50: expect.any(Number),
        p95: expect.any(Number),
        p99: expect.any(Number),
        'p99.9': expect.any(Number),
        min: expect.any(Number),
        max: expect.any(Number),
        avg: expect.any(Number),
      },
      latency_by_type: { query: latency, bulk_text: latency },
      latency_by_input_type: { text: latency },
      error_latency: latency,
      error_latency_by_type: { query: latency, unknown: latency },
      error_latency_by_input_type: { video_presigned_url: latency, unknown: latency },
      throughput: { requests_per_minute: { '1min': 5, '5min': 1, '15min': 5 / 15 } },
      business_metrics: {
        total_embeddings: 5,
        total_tokens: 5,
        total_videos: 0,
        total_video_frames: 0,
        failed_inputs_total: 1,
      },
      retries: { total: 0, success: 0, failure: 0, success_rate_percent: 0, last_retry_time: null },
    })
    const alias = (await request(`${url}/v1/health/metrics`)).body as { requests: unknown }
    expect(alias.requests).toEqual((body as { requests: unknown }).requests)
  })
})
