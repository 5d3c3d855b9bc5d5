/** The page in a real browser. Screenshots go to .cache/screenshots. */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exampleClip, executablePath, fits, launch, screenshots, visit } from './browser.ts'
import { type ServeProcess, serve } from './serve-support.ts'
import { serveDouble } from './support.ts'

describe.skipIf(!executablePath)('the page in a browser', () => {
  let browser: Browser
  let served: ServeProcess
  const visits: Awaited<ReturnType<typeof visit>>[] = []

  beforeAll(async () => {
    mkdirSync(screenshots, { recursive: true })
    served = await serve()
    browser = await launch()
  })

  afterAll(async () => {
    await browser?.close()
    await served?.stop()
  })

  async function open(
    viewport = { width: 1200, height: 900 },
    prepare?: (page: Page) => Promise<unknown>,
    origin = served.url,
  ): Promise<Page> {
    const opened = await visit(browser, origin, '/', viewport, prepare)
    visits.push(opened)
    return opened.page
  }

  const names = (page: Page) => page.locator('#ranking h3').allTextContents()
  const said = (page: Page) => page.locator('#said').textContent()
  async function add(page: Page, ...clips: string[]): Promise<void> {
    const before = (await names(page)).length
    await page.locator('#files').setInputFiles(clips.map(exampleClip))
    await expect.poll(() => names(page)).toHaveLength(before + clips.length)
  }
  const drop = (page: Page, name: string, bytes = 10) =>
    page.evaluate(`(() => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File([new Uint8Array(${bytes})], '${name}'))
      dispatchEvent(new DragEvent('drop', { dataTransfer }))
    })()`)

  it('shows frames, ranks by text, compares videos, and tells that the model is a demo', async () => {
    const page = await open()
    await page.locator('#demo').waitFor({ state: 'visible' })
    expect(await page.locator('#model').textContent()).toContain('cosmos-embed-demo')
    await add(page, 'yellow-star.webm', 'red-circle.mp4', 'pink-heart.mp4')
    expect(await page.locator('#ranking canvas').count()).toBe(24)
    const ink = (await page.evaluate(`(() => {
      const canvas = document.querySelector('#ranking canvas')
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      return { colours: new Set(data).size, opaque: data.every((value, at) => at % 4 !== 3 || value === 255) }
    })()`)) as { colours: number; opaque: boolean }
    expect(ink.colours).toBeGreaterThan(10)
    expect(ink.opaque).toBe(true)

    await page.locator('#text').fill('a red circle')
    await expect.poll(async () => (await names(page))[0]).toBe('red-circle.mp4')
    await page.screenshot({ path: path.join(screenshots, 'page.png'), fullPage: true })
    await page.locator('#text').fill('a pink heart')
    await expect.poll(() => said(page)).toBe('Best match: pink-heart.mp4')
    expect((await names(page))[0]).toBe('pink-heart.mp4')
    await page.locator('#text').fill('an elephant')
    await expect
      .poll(() => said(page))
      .toMatch(/^Nothing here matches “an elephant”: the best score is -?0\.0\d\d\.$/)

    expect(await page.locator('#table tr').count()).toBe(4)
    const diagonal = await page.locator('#table tr:nth-child(2) td').first().textContent()
    expect(Number(diagonal)).toBeCloseTo(1, 2)
    expect(await fits(page)).toBe(true)
  })

  it('offers example clips', async () => {
    const page = await open()
    const examples = page.locator('#clips button')
    await expect.poll(() => examples.count()).toBe(13)
    const example = page.getByRole('button', { name: 'blue circle', exact: true })
    expect(await example.getAttribute('title')).toBe(
      'a blue circle moves from left to right on a grey background',
    )
    await example.click()
    await expect.poll(() => names(page)).toEqual(['blue-circle.webm'])
    expect(await examples.first().textContent()).toBe('All 12')
  })

  it('works with the keyboard alone', async () => {
    const page = await open()
    // Early, since Playwright does not say when it has begun to listen.
    const choosing = page.waitForEvent('filechooser')
    await page.locator('#examples').waitFor({ state: 'visible' })
    const focused = () => page.evaluate('document.activeElement.id || document.activeElement.ariaLabel')
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('choose')
    await page.keyboard.press('Enter')
    await (await choosing).setFiles([exampleClip('red-circle.mp4'), exampleClip('blue-circle.webm')])
    await expect.poll(() => names(page)).toHaveLength(2)
    // The summary of the examples, folded; then the search.
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('text')
    await page.keyboard.type('a blue circle')
    await expect.poll(async () => (await names(page))[0]).toBe('blue-circle.webm')
    await page.keyboard.press('Tab')
    expect(await focused()).toBe('Play blue-circle.webm')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(await names(page)).toEqual(['red-circle.mp4'])
    expect(await focused()).toBe('Remove red-circle.mp4')
  })

  it('keeps files and texts until the model is loaded', async () => {
    let isLoaded = false
    const page = await open(undefined, (page) =>
      page.route('**/v1/metadata', (route) => {
        return isLoaded ? route.continue() : route.fulfill({ status: 503, json: { error: {} } })
      }),
    )
    await expect.poll(() => page.locator('#model').textContent()).toBe('The model is loading …')
    await page.locator('#text').fill('a red circle')
    await page.locator('#files').setInputFiles(['red-circle.mp4', 'pink-heart.mp4'].map(exampleClip))
    await expect
      .poll(() => page.locator('#progress').textContent())
      .toContain('red-circle.mp4 (1 of 2) waits')
    isLoaded = true
    await expect.poll(() => names(page)).toEqual(['red-circle.mp4', 'pink-heart.mp4'])
    await expect.poll(() => said(page)).toBe('Best match: red-circle.mp4')
  })

  it('explains failures, until they are closed or another file is dropped', async () => {
    const page = await open(undefined, (page) =>
      page.route('**/v1/metadata', async (route) => {
        const response = await route.fetch()
        const json = await response.json()
        json.limits.input.maxInlineBytes = 2 ** 20
        await route.fulfill({ response, json })
      }),
    )
    const failures = page.locator('#failures .failure > p')
    await drop(page, 'notes.mp4')
    await expect
      .poll(() => failures.allTextContents())
      .toEqual(['notes.mp4 This file is not a readable video, or it is damaged.'])
    await page.locator('#failures summary').click()
    expect(await page.locator('#failures details p').textContent()).toMatch(/^input/)
    await page.getByRole('button', { name: 'Close the message about notes.mp4' }).click()
    expect(await failures.count()).toBe(0)
    await drop(page, 'notes.mp4')
    await expect.poll(() => failures.count()).toBe(1)
    await drop(page, 'large.mp4', 3 * 2 ** 20)
    await expect
      .poll(() => failures.allTextContents())
      .toEqual(['large.mp4 It has 3 MiB, and this server accepts 1 MiB at most.'])
    expect(await names(page)).toEqual([])

    // A text that the server refuses, a server that is busy, and one that is gone.
    const text = page.locator('#text')
    const unsearched = page.locator('#unsearched .failure > p')
    await text.fill('https://host.example/a.mp4')
    await expect
      .poll(() => unsearched.allTextContents())
      .toEqual(['https://host.example/a.mp4 The server cannot embed this.'])
    await page.route('**/v1/embeddings', (route) =>
      route.fulfill({ status: 429, json: { error: { code: 'overloaded', message: 'no' } } }),
    )
    await text.fill('b')
    await expect
      .poll(() => unsearched.allTextContents())
      .toEqual(['b The server is busy. Try again in a moment.'])
    await page.unroute('**/v1/embeddings')
    await page.route('**/v1/embeddings', (route) => route.abort())
    await text.fill('c')
    await expect.poll(() => unsearched.allTextContents()).toEqual(['c The server does not respond.'])
    await page.unroute('**/v1/embeddings')
    await text.fill('a circle')
    await expect.poll(() => unsearched.count()).toBe(0)
  })

  it('fits a phone, keeps the search visible, and does not scroll when a video is removed', async () => {
    const page = await open({ width: 360, height: 640 })
    await add(page, 'red-circle.mp4', 'blue-circle.webm', 'pink-heart.mp4', 'green-ring-yellow-star.webm')
    await page.locator('#text').fill('a red circle')
    await expect.poll(() => said(page)).toBe('Best match: red-circle.mp4')
    expect(await fits(page)).toBe(true)
    await page.screenshot({ path: path.join(screenshots, 'page-phone.png'), fullPage: true })

    const second = page.locator('.video').nth(1)
    await second.scrollIntoViewIfNeeded()
    const scrolled = () => page.evaluate('scrollY')
    const place = await scrolled()
    expect(place).toBeGreaterThan(100)
    expect((await page.locator('#text').boundingBox())?.y).toBeLessThan(100)
    await page.evaluate(
      `document.querySelectorAll('.video')[1].querySelector('.head > button:last-child').click()`,
    )
    expect(await names(page)).toHaveLength(3)
    expect(await scrolled()).toBe(place)

    // The similarities are wider than this screen.
    const table = page.getByRole('region', { name: 'Similarity of the videos' })
    await table.focus()
    await page.keyboard.press('ArrowRight')
    await expect.poll(() => page.evaluate('document.activeElement.scrollLeft')).toBeGreaterThan(0)
  })

  it('keeps playing a video while the ranking changes', async () => {
    const page = await open()
    await add(page, 'blue-circle.webm', 'red-circle.mp4')
    const play = page.getByRole('button', { name: 'Play blue-circle.webm' })
    await play.click()
    const played = () => page.evaluate('document.querySelector("video")?.played.length ?? 0')
    await expect.poll(played).toBeGreaterThan(0)
    await page.locator('#text').fill('a red circle')
    await expect.poll(() => names(page)).toEqual(['red-circle.mp4', 'blue-circle.webm'])
    expect(await page.locator('video').count()).toBe(1)
    await page.getByRole('button', { name: 'Close blue-circle.webm' }).click()
    expect(await page.locator('video').count()).toBe(0)
  })

  it('asks for the key that the server requires', async () => {
    const { url } = await serveDouble({ apiKeys: ['right'] })
    const page = await open(undefined, undefined, url)
    const note = page.locator('#key-note')
    await expect.poll(() => note.textContent()).toBe('This server requires a key.')
    await page.locator('#key').fill('wrong')
    await page.keyboard.press('Enter')
    await expect.poll(() => note.textContent()).toBe('The server rejected this key.')
    await page.locator('#key').fill('right')
    await page.getByRole('button', { name: 'Use this key' }).click()
    await expect.poll(() => page.locator('#model').textContent()).toContain('double')
    expect(await page.locator('#key-form').isVisible()).toBe(false)
    await page.reload()
    await expect.poll(() => page.locator('#model').textContent()).toContain('double')
  })

  it('sends requests to the server only, and reports no errors', () => {
    expect(visits.flatMap(({ elsewhere }) => elsewhere)).toEqual([])
    expect(visits.flatMap(({ faults }) => faults)).toEqual([])
  })
})
