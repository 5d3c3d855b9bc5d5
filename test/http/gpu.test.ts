/** The routes over a real embedder whose addon is a double with a GPU. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { createServer } from '../../src/http/server.ts'
import type { EmbedderOptions } from '../../src/options.ts'
import { engines, h200, machineWith } from '../embedder/gpu-support.ts'
import { turns } from '../embedder/support.ts'
import { post, request } from './support.ts'

const engineCache = await engines()
const query = { request_type: 'query', input: 'a', model: 'test/tiny' }

async function served(options: EmbedderOptions = { device: 'cuda', cuda: { engineCache } }) {
  const { double, open } = machineWith([h200(0)])
  const embedder = await open(options)
  const server = await createServer({ embedder })
  onTestFinished(async () => {
    await server.close()
    await embedder.dispose()
  })
  const url = await server.listen({ port: 0 })
  await server.ready
  return { url, double, embedder }
}

describe('readiness', () => {
  it('turns false with the reason when the GPU is lost, and requests fail', async () => {
    const { url, double } = await served()
    expect((await post(url, query)).status).toBe(200)
    expect((await request(`${url}/v1/health/ready`)).status).toBe(200)

    double.encoding.held = true
    const failing = post(url, query)
    while (double.encoding.jobs.length === 0) await turns(1)
    double.encoding.jobs[0]?.fail({ code: 'device_lost', message: 'CUDA error 700 at /secret/place' })
    const failed = await failing
    expect(failed).toMatchObject({ status: 503, body: { error: { code: 'device_lost' } } })

    const { status, body } = await request(`${url}/v1/health/ready`)
    expect(status).toBe(503)
    expect(body).toMatchObject({ ready: false, message: expect.stringContaining('restart the server') })
    expect(await post(url, query)).toMatchObject({ status: 503, body: { error: { code: 'device_lost' } } })
    expect((await request(`${url}/v1/health/live`)).status).toBe(200)
    expect((await request(`${url}/v1/metrics`)).body).toContain('cosmos_embed_ready 0')
    for (const answer of [failed.body, body]) expect(JSON.stringify(answer)).not.toContain('secret')
  })

  it('turns false when the embedder is disposed', async () => {
    const { url, embedder } = await served()
    await embedder.dispose()
    const { status, body } = await request(`${url}/v1/health/ready`)
    expect({ status, body }).toMatchObject({ status: 503, body: { ready: false } })
  })
})

describe('GET /v1/metadata', () => {
  it('describes the GPU, its engines and NVDEC, without file paths', async () => {
    const { url } = await served()
    const { body } = await request(`${url}/v1/metadata`)
    expect(body).toMatchObject({
      selectedModelProfileId: '16p-cuda-tensorrt',
      runtime: {
        device: {
          kind: 'cuda',
          driver: { version: '12.8' },
          gpus: [
            {
              name: 'NVIDIA H200',
              computeCapability: '9.0',
              engines: { video: { precision: 'fp16', maxBatch: 8, built: { tensorrt: '10.16.1.11' } } },
              nvdec: { engines: 7 },
            },
          ],
        },
        engine: { backend: 'tensorrt', version: '10.16.1.11' },
      },
    })
    expect(JSON.stringify(body)).not.toMatch(/\/tmp|\/work|\.plan/)
  })

  it('gives the reason for using the CPU, with shortened paths', async () => {
    const { url } = await served({ cuda: { engineCache: '/somewhere/else' } })
    const { body } = await request(`${url}/v1/metadata`)
    const { device } = (body as { runtime: { device: { reason: string } } }).runtime
    expect(device.reason).toMatch(/no TensorRT engine for video in …\/else or …\/engines/)
    expect(device.reason).not.toContain('/somewhere')
  })
})
