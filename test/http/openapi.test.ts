import { createConfig, lintFromString, type NormalizedProblem } from '@redocly/openapi-core'
import { cosmosEmbed } from 'cosmos-embed/http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { doubleEmbedder } from './embedder-double.ts'
import { generate, Oracle, randomFrom, writtenAnyhow } from './openapi-support.ts'
import { post, request, serveDouble } from './support.ts'

describe('/openapi.json', () => {
  it.each([[undefined], [['key']]])('passes a linter (keys: %s)', async (apiKeys) => {
    const { url } = await serveDouble({ apiKeys })
    const { body } = await request(`${url}/openapi.json`, { headers: { authorization: 'Bearer key' } })
    expect(body).toMatchObject({ openapi: '3.1.0' })
    const config = await createConfig({ extends: ['recommended'] })
    const problems: NormalizedProblem[] = await lintFromString({ source: JSON.stringify(body), config })
    expect(problems.filter(({ severity }) => severity === 'error').map(({ message }) => message)).toEqual([])
  })

  it('lists every route that is served, and nothing else', async () => {
    const { url, server } = await serveDouble()
    const { document } = await Oracle.of(url)
    const listed = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    for (const route of listed) {
      const [method = '', path = ''] = route.split(' ')
      const url = path.replace(/\{\w+\}/, '*')
      expect(server.app.hasRoute({ method: method as 'GET', url }), route).toBe(true)
    }
    expect(listed).toContain('POST /v1/embeddings')
    expect(listed).toHaveLength(14)
  })

  it('describes one body per request type, with the names that are served', async () => {
    const { url } = await serveDouble({}, { servedNames: ['double', 'alias'] })
    const { document } = await Oracle.of(url)
    const schema = document.paths['/v1/embeddings']?.post?.requestBody?.content['application/json'].schema
    const variants = schema?.oneOf as { properties: Record<string, { const?: string; enum?: string[] }> }[]
    expect(variants.map(({ properties }) => properties.request_type?.const)).toEqual([
      'query',
      'bulk_text',
      'bulk_video',
    ])
    expect(variants[0]?.properties.model?.enum).toEqual(['double', 'alias'])
  })

  it('describes every GET response', async () => {
    const { url } = await serveDouble()
    await post(url, { request_type: 'query', input: 'a', model: 'double' })
    await post(url, '{')
    const oracle = await Oracle.of(url)
    for (const [path, methods] of Object.entries(oracle.document.paths)) {
      // The double has no bundle on disk, so no manifest.
      if (!methods.get || path === '/v1/manifest') continue
      const answer = await request(url + path.replace('{model}', 'double'))
      expect(answer.status, path).toBe(200)
      oracle.judge('GET', path, answer)
    }
    oracle.judge('GET', '/v1/models/{model}', await request(`${url}/v1/models/gpt`))
  })

  it.each([[false], [true]])(
    'has examples that are valid by its own schema and accepted by the server (inferRequestType: %s)',
    async (infers) => {
      const taken = { inferRequestType: infers }
      const { url, double } = await serveDouble(taken, { servedNames: ['nvidia/cosmos-embed1', 'double'] })
      const oracle = await Oracle.of(url)
      let examples = 0
      for (const [path, { post: operation }] of Object.entries(oracle.document.paths)) {
        const json = operation?.requestBody?.content['application/json'] as unknown as {
          examples: Record<string, { value: Record<string, unknown> }>
        }
        for (const { value } of Object.values(json?.examples ?? {})) {
          examples += 1
          expect(oracle.faults(path, value)).toEqual([])
          expect(value.model).toBe('nvidia/cosmos-embed1')
          const answer = await post(url, value, {}, path)
          expect({ path, status: answer.status }).toEqual({ path, status: 200 })
        }
      }
      expect(examples).toBe(6)
      expect(double.requests).toHaveLength(3)
    },
  )

  it('accepts every body that the server accepts', async () => {
    const { url } = await serveDouble({ inferRequestType: true }, { servedNames: ['double'] })
    const oracle = await Oracle.of(url)
    const random = randomFrom(12)
    let taken = 0
    for (let round = 0; round < 150; round += 1) {
      const body = writtenAnyhow(random)
      if ((await post(url, body)).status !== 200) continue
      taken += 1
      expect(oracle.faults('/v1/embeddings', body), `round ${round}: ${JSON.stringify(body)}`).toEqual([])
    }
    expect(taken).toBeGreaterThan(60)
  })

  it('has the prefix of the routes as its server', async () => {
    const { default: Fastify } = await import('fastify')
    const app = Fastify()
    onTestFinished(() => app.close())
    await app.register(cosmosEmbed, { embedder: doubleEmbedder(), prefix: '/embed/here' })
    const document = (await app.inject('/embed/here/openapi.json')).json()
    expect(document.servers).toEqual([{ url: '/embed/here' }])
    const [server] = document.servers
    for (const path of ['/v1/health/live', '/v1/version']) {
      expect(Object.keys(document.paths)).toContain(path)
      expect((await app.inject(server.url + path)).statusCode).toBe(200)
    }
  })

  it('describes the responses to generated requests, none of which is a 5xx', async () => {
    const { url } = await serveDouble()
    const oracle = await Oracle.of(url)
    const schema =
      oracle.document.paths['/v1/embeddings']?.post?.requestBody?.content['application/json'].schema
    const seed = 20261122
    const random = randomFrom(seed)
    const statuses = new Map<number, number>()
    for (let round = 0; round < 400; round += 1) {
      const body = generate(schema as Record<string, unknown>, random)
      const answer = await post(url, JSON.stringify(body))
      expect(answer.status, `seed ${seed}, round ${round}`).toBeLessThan(500)
      oracle.judge('POST', '/v1/embeddings', answer)
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    }
    expect([...statuses.keys()].sort()).toEqual([200, 422])
    expect(statuses.get(200)).toBeGreaterThan(50)
  })
})
