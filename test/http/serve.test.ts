/** `cosmos-embed serve`: flags, start and shutdown of the process. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { stopGraceMs } from '../../src/base/native-job.ts'
import { serveOptions } from '../../src/cli/serve-options.ts'
import { type ServeProcess, serve, serveProcess, serveStorage } from './serve-support.ts'
import { eventually, gate, post, request } from './support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-serve-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function started(...args: Parameters<typeof serve>): Promise<ServeProcess> {
  const served = await serve(...args)
  onTestFinished(() => served.stop())
  return served
}

describe('flags', () => {
  it('set the options of the embedder and the server', () => {
    const options = serveOptions(
      [
        ...['--model', 'm', '--device', 'cpu', '--host', '0.0.0.0', '--port', '9000', '--log-level', 'warn'],
        ...[
          '--served-model-name',
          'a',
          '--served-model-name',
          'b',
          '--api-key',
          'k',
          '--no-page',
          '--no-tracing',
        ],
        ...[
          '--max-items',
          '8',
          '--max-bytes-in-flight',
          '1000',
          '--request-timeout-ms',
          '5',
          '--drain-ms',
          '0',
        ],
        ...['--url-host', '*.example', '--url-redirects', '2'],
      ],
      {},
    )
    expect(options).toMatchObject({
      host: '0.0.0.0',
      port: 9000,
      logLevel: 'warn',
      drainMs: 0,
      embedder: {
        model: 'm',
        device: 'cpu',
        servedNames: ['a', 'b'],
        urls: { allow: ['*.example'], maxRedirects: 2 },
        limits: { maxItems: 8, maxBytesInFlight: 1000 },
      },
      server: {
        apiKeys: ['k'],
        page: false,
        docs: true,
        tracing: false,
        limits: { requestTimeoutMs: 5 },
      },
    })
  })

  it('set the URL ports and inferRequestType', () => {
    const { embedder, server } = serveOptions(
      ['--url-port', '9000', '--url-port', '8443', '--infer-request-type', '--max-segments', '5'],
      {},
    )
    expect(embedder.urls).toMatchObject({ ports: [9000, 8443] })
    expect(server).toMatchObject({ inferRequestType: true, limits: { maxSegments: 5 } })
    const environment = { COSMOS_EMBED_URL_PORT: '9000, 8443', COSMOS_EMBED_INFER_REQUEST_TYPE: '1' }
    expect(serveOptions([], environment)).toMatchObject({
      embedder: { urls: { ports: [9000, 8443] } },
      server: { inferRequestType: true },
    })
    expect(serveOptions([], {}).server.inferRequestType).toBe(false)
  })

  it('set the GPUs and their engines', () => {
    const { embedder } = serveOptions(['--gpus', '1, 0', '--engine-cache', '/e', '--no-engine-build'], {})
    expect(embedder.cuda).toEqual({ devices: [1, 0], engineCache: '/e', buildEngine: 'never' })
    expect(serveOptions(['--gpus', 'all'], {}).embedder.cuda?.devices).toBe('all')
    expect(serveOptions([], { COSMOS_EMBED_FRAME_RULE: 'curator' }).embedder.frameRule).toBe('curator')
    expect(() => serveOptions(['--frame-rule', 'vss'], {})).toThrow('--frame-rule: expected card, curator')
  })

  it('can be environment variables, which the command line overrides', () => {
    const environment = {
      COSMOS_EMBED_SERVED_MODEL_NAME: 'a, nvidia/cosmos-embed1',
      COSMOS_EMBED_API_KEY: 'secret',
      COSMOS_EMBED_MAX_ITEMS: '8',
      COSMOS_EMBED_NO_DOCS: '1',
      COSMOS_EMBED_NO_PAGE: 'false',
      NIM_HTTP_API_PORT: '8080',
      NIM_LOG_LEVEL: 'WARNING',
      NIM_ENABLE_OTEL: 'False',
    }
    expect(serveOptions(['--max-items', '16'], environment)).toMatchObject({
      port: 8080,
      logLevel: 'warn',
      embedder: { servedNames: ['a', 'nvidia/cosmos-embed1'], limits: { maxItems: 16 }, urls: 'public' },
      server: { apiKeys: ['secret'], docs: false, page: true, tracing: false, otelMetrics: false },
    })
    expect(serveOptions([], { ...environment, COSMOS_EMBED_PORT: '1' }).port).toBe(1)
    expect(serveOptions([], { NIM_LOG_LEVEL: 'DEFAULT' }).logLevel).toBe('info')
  })

  it.each([
    [['--port', '70000'], '--port: expected a number up to 65535'],
    [['--port', 'x'], '--port'],
    [['--url-port', '70000'], '--url-port: expected a number up to 65535'],
    [['--url-port', '0'], '--url-port'],
    [['--gpus', '0,one'], '--gpus: expected numbers separated by commas, or all, found "0,one"'],
    [['--log-level', 'loud'], '--log-level: expected one of'],
    [['--urls', 'all'], '--urls: expected off or public'],
    [['--urls', 'off', '--url-host', 'a.example'], '--url-host has no effect'],
    [['--url-ca', '/nowhere.pem'], '--url-ca'],
    [['--max-items', '0'], '--max-items'],
    [['--model', 'a', '--model', 'b'], '--model is given 2 times'],
    [['stray'], 'unexpected "stray"'],
    [['--colour', 'red'], '--colour'],
  ])('%s is refused with the name of the flag', (args, message) => {
    expect(() => serveOptions(args, {})).toThrow(message)
  })
})

describe('the process', () => {
  it('prints what it serves, answers, and exits with 0 at SIGTERM', async () => {
    const served = await started(['--served-model-name', 'nvidia/cosmos-embed1', '--api-key', 'k'])
    for (const part of [
      'nvidia/cosmos-embed1, cosmos-embed-demo',
      'Bearer',
      '/v1/embeddings',
      'demo model',
    ]) {
      expect(served.stderr()).toContain(part)
    }
    const body = { request_type: 'query', input: 'a red circle', model: 'nvidia/cosmos-embed1' }
    expect((await post(served.url, body)).status).toBe(401)
    const headers = { authorization: 'Bearer k' }
    expect((await post(served.url, body, { headers })).body).toMatchObject({ model: 'nvidia/cosmos-embed1' })
    served.child.kill('SIGTERM')
    expect(await served.exit).toEqual({ code: 0, signal: null })
    expect(served.stdout()).not.toContain('Bearer')
  })

  it('listens before the model is loaded, and can be stopped meanwhile', async () => {
    const served = await started([], { until: 'listening' })
    expect((await request(`${served.url}/v1/health/live`)).status).toBe(200)
    served.child.kill('SIGTERM')
    expect(await served.exit).toEqual({ code: 0, signal: null })
  })

  it('exits with 0 at SIGTERM at any time after its start', async () => {
    // The preload asks for the signal as soon as the process has set its own handler; then later and later.
    for (const delay of [0, 150, 400]) {
      const preload = `
        const { on, once } = process
        const tell = (event) => { if (event === 'SIGTERM' && !process.told) { process.told = true; setTimeout(() => process.kill(process.pid, 'SIGTERM'), ${delay}) } }
        for (const name of ['on', 'once']) process[name] = function (event, listener) { const all = { on, once }[name].call(this, event, listener); tell(event); return all }
      `
      const environment = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` }
      const { child, exit } = serveProcess(['--log-level', 'silent'], { environment })
      onTestFinished(() => void child.kill('SIGKILL'))
      expect({ delay, ...(await exit) }).toEqual({ delay, code: 0, signal: null })
    }
  })

  it('drains: turns readiness false and finishes running requests', async () => {
    const requested = gate()
    const answered = gate()
    const storage = await serveStorage(folder, async (_request, response) => {
      requested.open()
      await answered.opened
      response.end('no video')
    })
    onTestFinished(() => storage.close())
    const args = ['--url-private', storage.origin, '--url-ca', storage.ca]
    const body = {
      request_type: 'query',
      input: `data:video/mp4;presigned_url,${storage.origin}/a.mp4`,
      model: 'cosmos-embed-demo',
    }

    const served = await started(args)
    const running = post(served.url, body)
    await requested.opened
    served.child.kill('SIGTERM')
    await eventually(async () => {
      const ready = await request(`${served.url}/v1/health/ready`)
      expect([ready.status, ready.body]).toMatchObject([503, { ready: false }])
    })
    answered.open()
    expect((await running).status).toBe(422)
    expect(await served.exit).toEqual({ code: 0, signal: null })
  })

  it('exits at once at the second signal', async () => {
    const requested = gate()
    const storage = await serveStorage(folder, () => requested.open())
    onTestFinished(() => storage.close())
    const served = await started(['--url-private', storage.origin, '--url-ca', storage.ca])
    const input = `data:video/mp4;presigned_url,${storage.origin}/a.mp4`
    const running = post(served.url, { request_type: 'query', input, model: 'cosmos-embed-demo' })
    const failed = expect(running).rejects.toThrow()
    await requested.opened
    served.child.kill('SIGTERM')
    await eventually(() => expect(served.stderr()).toContain('stopping'))
    served.child.kill('SIGTERM')
    expect(await served.exit).toEqual({ code: 1, signal: null })
    await failed
  })

  it('exits in time at SIGTERM even when a decoder hangs', { timeout: 60_000 }, async () => {
    const source = path.join(folder, 'stuck.c')
    const library = path.join(folder, 'stuck.so')
    writeFileSync(
      source,
      `#include <unistd.h>
       int avcodec_send_packet(void *decoder, const void *packet) {
         (void)decoder, (void)packet;
         if (write(2, "stuck\\n", 6) < 0) return -1;
         for (;;) pause();
       }`,
    )
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, source])
    const served = await started(['--drain-ms', '0', '--isolation', 'none'], {
      environment: { LD_PRELOAD: library },
    })
    const video = readFileSync(new URL('../../examples/clips/red-circle.mp4', import.meta.url))
    const running = post(served.url, {
      request_type: 'query',
      input: `data:video/mp4;base64,${video.toString('base64')}`,
      model: 'cosmos-embed-demo',
    })
    await eventually(() => expect(served.stderr()).toContain('stuck'))
    const began = performance.now()
    served.child.kill('SIGTERM')
    expect((await running).status).toBe(503)
    expect(await served.exit).toEqual({ code: 0, signal: null })
    // Five seconds for the decoder to stop, and five for the process to exit.
    expect(performance.now() - began).toBeLessThan(3 * stopGraceMs)
  })

  it('fails with the reason when there is no model', async () => {
    const serving = serve(['--model', path.join(folder, 'nothing')])
    await expect(serving).rejects.toThrow(/serve ended with 1: [\s\S]*nothing/)
  })

  it('fails with the reason when the port is taken', async () => {
    const first = await started()
    const { port } = new URL(first.url)
    await expect(serve([], { port })).rejects.toThrow(
      /serve ended with 1: [\s\S]*cannot listen on 127.0.0.1:\d+: the port is taken by another process.*\[invalid_argument\]/,
    )
  })

  it('tells what to install when Fastify is missing', async () => {
    const hook = `export async function resolve(specifier, context, next) {
      if (specifier !== 'fastify') return next(specifier, context)
      throw Object.assign(new Error("Cannot find package 'fastify'"), { code: 'ERR_MODULE_NOT_FOUND' })
    }`
    const load = `import { register } from 'node:module'; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)})`
    const environment = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(load)}` }
    await expect(serve([], { environment })).rejects.toThrow('npm install fastify@^5.12.1')
  })
})
