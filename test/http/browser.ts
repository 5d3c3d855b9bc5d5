/** Headless Chromium, and pages that record their requests and errors. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'

export const executablePath = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find(existsSync)
if (!executablePath) {
  console.log('page tests are skipped: no Chromium here (on Debian: apt-get install chromium)')
}

export const screenshots = fileURLToPath(new URL('../../.cache/screenshots/', import.meta.url))
export const exampleClip = (name: string) =>
  fileURLToPath(new URL(`../../examples/clips/${name}`, import.meta.url))

export interface Visit {
  page: Page
  /** Requests to any other server. */
  elsewhere: string[]
  /** Errors of scripts and of the console, including violations of the content security policy. */
  faults: string[]
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] })
}

/** Opens `path` of the server at `origin`; `prepare` may route requests before the page is loaded. */
export async function visit(
  browser: Browser,
  origin: string,
  path: string,
  viewport: { width: number; height: number } = { width: 1200, height: 900 },
  prepare: (page: Page) => Promise<unknown> = async () => {},
): Promise<Visit> {
  const page = await browser.newPage({ viewport })
  const elsewhere: string[] = []
  const faults: string[] = []
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) elsewhere.push(url)
  })
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    // The browser logs 4xx and 5xx responses, which tests provoke.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      faults.push(message.text())
    }
  })
  await prepare(page)
  await page.goto(origin + path)
  return { page, elsewhere, faults }
}

/** Whether the page fits the width of the window. A string, since the types here lack the browser's globals. */
export const fits = (page: Page): Promise<unknown> =>
  page.evaluate('document.documentElement.scrollWidth <= innerWidth')
