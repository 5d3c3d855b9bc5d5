/** The page and the reference in a real browser: Debian's Chromium, headless. Screenshots go to .cache/screenshots. */
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServeProcess, serve } from './serve-support.ts'

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
)
if (!executablePath)
  console.log('page tests are skipped: no Chromium here (on Debian: apt-get install chromium)')

const root = new URL('../../', import.meta.url)
const clip = (name: string) => fileURLToPath(new URL(`examples/clips/${name}`, root))
const screenshots = fileURLToPath(new URL('.cache/screenshots/', root))

describe.skipIf(!executablePath)('in a browser', () => {
  let browser: Browser
  let served: ServeProcess
  /** Requests to anywhere else than the server. */
  const elsewhere: string[] = []
  const faults: string[] = []

  beforeAll(async () => {
    mkdirSync(screenshots, { recursive: true })
    served = await serve()
    browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] })
  })

  afterAll(async () => {
    await browser?.close()
    await served?.stop()
  })

  async function open(where: string, viewport: { width: number; height: number }): Promise<Page> {
    const page = await browser.newPage({ viewport })
    page.on('request', (request) => {
      const url = request.url()
      if (!url.startsWith(served.url) && !url.startsWith('data:')) elsewhere.push(url)
    })
    page.on('pageerror', (error) => faults.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text())
    })
    await page.goto(served.url + where)
    return page
  }

  const names = (page: Page) => page.locator('#ranking h3').allTextContents()
  const fits = (page: Page) => page.evaluate('document.documentElement.scrollWidth <= innerWidth')

  it('shows frames, ranks by text, compares videos, and says that the model is a demo', async () => {
    const page = await open('/', { width: 1200, height: 900 })
    await page.locator('#demo').waitFor({ state: 'visible' })
    expect(await page.locator('#model').textContent()).toContain('cosmos-embed-demo')
    await page
      .locator('#files')
      .setInputFiles([clip('yellow-star.webm'), clip('red-circle.mp4'), clip('pink-heart.mp4')])
    await expect.poll(() => names(page), { timeout: 30_000 }).toHaveLength(3)
    expect(await page.locator('#ranking canvas').count()).toBe(24)
    // Scripts for the browser are texts: its globals are none of ours.
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
    await expect.poll(async () => (await names(page))[0]).toBe('pink-heart.mp4')
    expect(await page.locator('#said').textContent()).toBe('Best match: pink-heart.mp4')

    expect(await page.locator('#table tr').count()).toBe(4)
    const diagonal = await page.locator('#table tr:nth-child(2) td').first().textContent()
    expect(Number(diagonal)).toBeCloseTo(1, 2)
    expect(await fits(page)).toBe(true)
  })

  it('works with the keyboard alone', async () => {
    const page = await open('/', { width: 1200, height: 900 })
    // Early, since Playwright does not say when it has begun to listen.
    const choosing = page.waitForEvent('filechooser')
    await page.locator('#demo').waitFor({ state: 'visible' })
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.id')).toBe('choose')
    await page.keyboard.press('Enter')
    await (await choosing).setFiles([clip('red-circle.mp4'), clip('blue-circle.webm')])
    await expect.poll(() => names(page), { timeout: 30_000 }).toHaveLength(2)
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.id')).toBe('text')
    await page.keyboard.type('a blue circle')
    await expect.poll(async () => (await names(page))[0]).toBe('blue-circle.webm')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(await names(page)).toEqual(['red-circle.mp4'])
  })

  it('takes dropped files, and says why one of them is no video', async () => {
    const page = await open('/', { width: 1200, height: 900 })
    await page.locator('#demo').waitFor({ state: 'visible' })
    await page.evaluate(`(() => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File(['no video'], 'notes.mp4'))
      dispatchEvent(new DragEvent('drop', { dataTransfer }))
    })()`)
    const alert = page.locator('#failures')
    await expect.poll(() => alert.textContent(), { timeout: 30_000 }).toContain('notes.mp4: ')
    expect(await names(page)).toEqual([])
    // The browser itself logs answers of 4xx.
    expect(faults.splice(0).filter((fault) => !fault.includes('422'))).toEqual([])
  })

  it('fits a phone', async () => {
    const page = await open('/', { width: 360, height: 740 })
    await page.locator('#demo').waitFor({ state: 'visible' })
    await page.locator('#files').setInputFiles([clip('red-circle.mp4'), clip('blue-circle.webm')])
    await expect.poll(() => names(page), { timeout: 30_000 }).toHaveLength(2)
    await page.locator('#text').fill('a red circle')
    await expect.poll(() => page.locator('#said').textContent()).toBe('Best match: red-circle.mp4')
    expect(await fits(page)).toBe(true)
    await page.screenshot({ path: path.join(screenshots, 'page-phone.png'), fullPage: true })
  })

  it('has a reference that sends requests', async () => {
    const page = await open('/docs', { width: 1200, height: 900 })
    await page.locator('details.operation').first().waitFor()
    expect(await page.locator('details.operation').count()).toBe(14)
    await page.getByRole('button', { name: 'Send' }).first().click()
    await page.getByText('200 OK').waitFor()
    await page.screenshot({ path: path.join(screenshots, 'docs.png') })
    expect(await fits(page)).toBe(true)
  })

  it('asked nobody but the server, and nothing failed', () => {
    expect(elsewhere).toEqual([])
    expect(faults).toEqual([])
  })
})
