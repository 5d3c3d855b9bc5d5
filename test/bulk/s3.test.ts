/** Buckets of a small S3 server in this process, and of moto if Python has it. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { buildIndex, jsonlSink, openSources } from '../../src/bulk/index.ts'
import { run } from '../cli/support.ts'
import { doubleEmbedder } from './double.mjs'
import { storedRows, temporaryFolder } from './support.ts'

const folder = temporaryFolder()
const keys = ['v/a.mp4', 'v/b.txt', 'v/deep/ü &+%41.webm', 'w/c.mkv']
const asked: string[] = []
const server = createServer((request, response) => {
  const url = new URL(request.url ?? '', 'http://host')
  asked.push(url.href)
  if (url.pathname !== '/bucket/' && url.pathname !== '/bucket') {
    response.writeHead(404, { 'content-type': 'application/xml' })
    response.end('<Error><Code>NoSuchBucket</Code><Message>The bucket does not exist</Message></Error>')
    return
  }
  // One key per page.
  const found = keys.filter((key) => key.startsWith(url.searchParams.get('prefix') ?? ''))
  const page = Number(url.searchParams.get('continuation-token') ?? 0)
  const more = page + 1 < found.length
  const escaped = found[page]?.replaceAll('&', '&amp;')
  response.writeHead(200, { 'content-type': 'application/xml' })
  response.end(
    `<ListBucketResult><IsTruncated>${more}</IsTruncated>` +
      `${more ? `<NextContinuationToken>${page + 1}</NextContinuationToken>` : ''}` +
      `${escaped === undefined ? '' : `<Contents><Key>${escaped}</Key></Contents>`}</ListBucketResult>`,
  )
})

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  useEndpoint((server.address() as AddressInfo).port)
})
afterAll(() => server.close())
afterEach(() => vi.resetModules())

function useEndpoint(port: number): string {
  const endpoint = `http://127.0.0.1:${port}`
  vi.stubEnv('AWS_ENDPOINT_URL_S3', endpoint)
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret')
  return endpoint
}

it('lists all pages of a prefix, and signs a new URL for every attempt', async () => {
  const out = path.join(folder, 'out.jsonl')
  const urls: URL[] = []
  const embedder = doubleEmbedder()
  const { embedVideo } = embedder
  embedder.embedVideo = (video, options) => {
    urls.push(video as URL)
    return embedVideo(video, options)
  }
  await using opened = await openSources(['s3://bucket/v/'])
  const tally = await buildIndex(embedder, opened.sources, jsonlSink(out))
  expect(tally).toMatchObject({ total: 2, embedded: 2, failed: 0 })
  const uris = ['s3://bucket/v/a.mp4', 's3://bucket/v/deep/ü &+%41.webm']
  expect((await storedRows(out)).map(({ id, uri }) => [id, uri]).sort()).toEqual(
    uris.map((uri) => [uri, uri]),
  )
  expect(urls.map(({ pathname }) => decodeURIComponent(pathname)).sort()).toEqual([
    '/bucket/v/a.mp4',
    '/bucket/v/deep/ü &+%41.webm',
  ])
  for (const { searchParams } of urls) expect(searchParams.has('X-Amz-Signature')).toBe(true)
  const again = await buildIndex(embedder, opened.sources, jsonlSink(out))
  expect(again).toMatchObject({ skipped: 2, embedded: 0 })
})

it('reports the errors of the storage', async () => {
  await using opened = await openSources(['s3://nowhere/v/'])
  await expect(
    buildIndex(doubleEmbedder(), opened.sources, jsonlSink(path.join(folder, 'no.jsonl'))),
  ).rejects.toMatchObject({
    code: 'source',
    message: expect.stringMatching(
      /^s3:\/\/nowhere\/v\/ cannot be listed: NoSuchBucket: The bucket does not exist/,
    ),
  })
})

const hasMoto = spawnSync('python3', ['-c', 'import moto.server']).status === 0
if (!hasMoto) console.warn('buckets of moto are not tried: python3 has no moto[server]')

it.skipIf(!hasMoto)(
  'indexes a bucket of moto with the demo model',
  async () => {
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as AddressInfo
    await new Promise((resolve) => probe.close(resolve))
    const moto = spawn('python3', ['-m', 'moto.server', '-H', '127.0.0.1', '-p', `${port}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    try {
      await once(moto.stderr, 'data')
      const endpoint = useEndpoint(port)
      const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true })
      await client.send(new CreateBucketCommand({ Bucket: 'clips' }))
      for (const name of ['red-circle.mp4', 'blue-circle.webm']) {
        const file = fileURLToPath(new URL(`../../examples/clips/${name}`, import.meta.url))
        await client.send(
          new PutObjectCommand({ Bucket: 'clips', Key: `v/${name}`, Body: readFileSync(file) }),
        )
      }
      const out = path.join(folder, 'moto')
      const words = [
        'index',
        's3://clips/v/',
        '--out',
        out,
        '--url-http',
        endpoint,
        '--url-private',
        endpoint,
      ]
      vi.resetModules()
      const { code, stderr } = await run(words)
      expect({ code, stderr: stderr.slice(0, 500) }).toMatchObject({ code: 0 })
      expect((await storedRows(out)).map(({ id }) => id).sort()).toEqual([
        's3://clips/v/blue-circle.webm',
        's3://clips/v/red-circle.mp4',
      ])
    } finally {
      moto.kill()
    }
  },
  180_000,
)
