/** The page of `cosmos-embed search --page`: one HTML file with a picture of each video that was found. */
import { pathToFileURL } from 'node:url'
import binding, { type RgbImage } from '#binding'
import { toCosmosEmbedError } from '../base/native-failure.ts'
import { planVideo, withRange } from '../bulk/planned-item.ts'
import { extractFrames } from '../run/frames.ts'
import type { UrlPolicy } from '../source/url-policy.ts'
import { encodePng } from './png.ts'

const PICTURE_HEIGHT = 180

/** Pictures that are made at one time. Each decodes with all cores. */
const AT_A_TIME = 2

export interface PageHit {
  name: string
  /** A path, or an https or s3 URL; null for a text. */
  uri: string | null
  /** Seconds. */
  start: number | null
  end: number | null
  score: number
}

export interface PageOptions {
  title: string
  urls: UrlPolicy
  /** Called for a video that cannot be read; it is listed without a picture. */
  onProblem: (uri: string, message: string) => void
  signal: AbortSignal
}

/** Makes the page. It needs no other file: the pictures are part of it. */
export async function searchPage(hits: readonly PageHit[], options: PageOptions): Promise<string> {
  const pictures = new Map<PageHit, string>()
  const pending = hits.values()
  const worker = async () => {
    for (const hit of pending) {
      const picture = await pictureOf(hit, options)
      if (picture !== undefined) pictures.set(hit, picture)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, worker))
  const figures = hits.map((hit) => figureOf(hit, pictures.get(hit)))
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escaped(options.title)}</title>
<style>
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }
body { margin: 2rem }
h1 { font-size: 1.3rem }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1.5rem }
figure { margin: 0 }
img { width: 100%; height: 11rem; object-fit: contain; background: #181818; border-radius: 4px }
.none { height: 11rem; border: 1px dashed; border-radius: 4px; display: grid; place-items: center; opacity: 0.6 }
figcaption { overflow-wrap: anywhere }
</style>
<h1>${escaped(options.title)}</h1>
<main>
${figures.join('\n')}
</main>
</html>
`
}

/** The frame in the middle, as a data URI; undefined if the video cannot be read. */
async function pictureOf({ uri, start, end }: PageHit, options: PageOptions): Promise<string | undefined> {
  if (uri === null) return undefined
  try {
    const { input } = planVideo(uri, '', uri)
    if (!('video' in input)) return undefined
    const video = typeof input.video === 'function' ? await input.video() : input.video
    const { images } = await extractFrames(video, {
      frames: 3,
      ...(start !== null && { start }),
      ...(end !== null && { end }),
      urls: options.urls,
      signal: options.signal,
    })
    return `data:image/png;base64,${Buffer.from(encodePng(scaled(images[1] as RgbImage))).toString('base64')}`
  } catch (failure) {
    options.signal.throwIfAborted()
    options.onProblem(uri, toCosmosEmbedError(failure).message)
    return undefined
  }
}

function scaled(image: RgbImage): RgbImage {
  const width = Math.max(1, Math.round((image.width / image.height) * PICTURE_HEIGHT))
  return binding.resizeRgb(image, Math.min(width, 4 * PICTURE_HEIGHT), PICTURE_HEIGHT)
}

function figureOf({ name, uri, start, end, score }: PageHit, picture: string | undefined): string {
  const shown = picture
    ? `<img src="${picture}" alt="">`
    : `<div class="none">${uri === null ? 'text' : 'no picture'}</div>`
  const range =
    start === null || (start === 0 && end === null)
      ? ''
      : ` from ${shownSeconds(start)} s${end === null ? '' : ` to ${shownSeconds(end)} s`}`
  const caption = `${escaped(name)}<br>${score.toFixed(3)}${range}`
  const address = uri === null ? undefined : addressOf(uri, start, end)
  const linked = address === undefined ? shown : `<a href="${escaped(address)}">${shown}</a>`
  return `<figure>${linked}<figcaption>${caption}</figcaption></figure>`
}

/** A name with a range in milliseconds, for readers: a third of a second has sixteen digits. */
export function withShownRange(name: string, start: number | undefined, end: number | undefined): string {
  return withRange(name, start && shownSeconds(start), end && shownSeconds(end))
}

function shownSeconds(seconds: number): number {
  return Math.round(1000 * seconds) / 1000
}

/** Where a browser finds the video; undefined for an object in a bucket. */
function addressOf(uri: string, start: number | null, end: number | null): string | undefined {
  const url = /^https?:\/\//i.test(uri) ? uri : uri.includes('://') ? undefined : pathToFileURL(uri).href
  return url === undefined ? undefined : withShownRange(url, start || undefined, end ?? undefined)
}

function escaped(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (letter) => entities[letter] as string)
}
