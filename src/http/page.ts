/** Serves the page at `/`, the API reference at `/docs`, the example clips, and `POST /page/clip`, which the page uses. */
import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { OverloadedError } from '../errors.ts'
import type { Cancellation } from './cancellation.ts'
import { HttpError } from './errors.ts'
import type { Service } from './service.ts'

const assets = new URL('../../assets/http/', import.meta.url)
const clips = new URL('../../examples/clips/', import.meta.url)

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json; charset=utf-8',
  '.mp4': 'video/mp4',
  '.webm': 'video/webm',
}

/** Allows requests to this server only, and the playback of videos that the user has chosen. */
const contentSecurityPolicy =
  "default-src 'self'; img-src 'self' data:; media-src blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

export interface Asset {
  url: string
  file: URL
}

const asset = (url: string, name: string): Asset => ({ url, file: new URL(name, assets) })

export const docsAssets: readonly Asset[] = [
  asset('/docs', 'docs.html'),
  ...['docs.js', 'fields.js', 'json.js', 'elements.js', 'server.js', 'style.css', 'icon.svg'].map((name) =>
    asset(`/docs/${name}`, name),
  ),
]

/** Includes the example clips, if they are installed. */
export function pageAssets(): Asset[] {
  const examples = existsSync(clips) ? readdirSync(clips).filter((name) => !name.endsWith('.md')) : []
  return [
    asset('/', 'page.html'),
    ...['page.js', 'rows.js', 'elements.js', 'server.js', 'style.css', 'icon.svg'].map((name) =>
      asset(`/page/${name}`, name),
    ),
    ...examples.map((name) => ({ url: `/page/clips/${name}`, file: new URL(name, clips) })),
  ]
}

export async function sendAsset({ file }: Asset, reply: FastifyReply): Promise<FastifyReply> {
  const content = await readFile(file)
  return reply
    .headers({ 'content-security-policy': contentSecurityPolicy, 'cache-control': 'no-cache' })
    .type(contentTypes[path.extname(file.pathname)] ?? 'application/octet-stream')
    .send(content)
}

/** Concurrent decodes for the page, few so that it leaves the capacity to the API. */
const maxClips = 2

/**
 * Registers `POST /page/clip`. It takes the bytes of a video and returns the pixels that the model sees: uint8, planar
 * [T, 3, R, R]. The header `x-clip` has the frames and the size of the video as JSON.
 *
 * Only `application/octet-stream` is accepted: a browser sends that type for another site's page only after a preflight
 * request, which this server refuses.
 */
export function registerClipRoute(app: FastifyInstance, service: Service): void {
  let running = 0
  app.register(async (page) => {
    page.removeAllContentTypeParsers()
    // The handler reads the stream itself.
    page.addContentTypeParser('application/octet-stream', (_request, _payload, done) => done(null))
    page.addContentTypeParser('*', (_request, _payload, done) => {
      done(new HttpError('unsupported_media_type', 'send the video as content-type application/octet-stream'))
    })
    page.post('/page/clip', { config: { readsBody: true } }, async (request, reply) => {
      if (running >= maxClips) throw new OverloadedError(`the page already decodes ${maxClips} videos`)
      running += 1
      try {
        return await service.track(reply.raw, (cancellation) =>
          sendClip(service, request, reply, cancellation),
        )
      } finally {
        running -= 1
      }
    })
  })
}

async function sendClip(
  service: Service,
  request: FastifyRequest,
  reply: FastifyReply,
  cancellation: Cancellation,
): Promise<FastifyReply> {
  const { embedder } = service.model
  const { model, limits } = embedder.info()
  const { maxInlineBytes } = limits.input
  service.meter.checkHeaders(request.raw, maxInlineBytes)
  const body = await service.meter.read(request.raw, cancellation.signal, maxInlineBytes)
  try {
    cancellation.setDeadline(service.options.limits.requestTimeoutMs)
    const video = Buffer.concat(body.blocks)
    // The embedder's admission counts the bytes from here on.
    body.release()
    const { clip, frames, media } = await embedder.frames(video, {
      images: false,
      signal: cancellation.signal,
      whenFull: 'refuse',
    })
    const { width, height, duration } = media
    return reply
      .header('x-clip', JSON.stringify({ frames, width, height, duration, size: model.height }))
      .type('application/octet-stream')
      .send(Buffer.from(clip.buffer, clip.byteOffset, clip.byteLength))
  } finally {
    body.release()
  }
}
