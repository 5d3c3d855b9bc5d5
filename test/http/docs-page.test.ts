/** The API reference at /docs in a real browser. */
import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { cosmosEmbed } from 'cosmos-embed/http'
import Fastify from 'fastify'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { executablePath, fits, launch, screenshots, visit } from './browser.ts'
import { doubleEmbedder } from './embedder-double.ts'
import { serveDouble } from './support.ts'

describe.skipIf(!executablePath)('the API reference in a browser', () => {
  let browser: Browser

  beforeAll(async () => {
    mkdirSync(screenshots, { recursive: true })
    browser = await launch()
  })
  afterAll(() => browser?.close())

  it('shows fields and errors in tables, folds long responses, and offers requests to copy', async () => {
    const { url } = await serveDouble({ apiKeys: ['secret'] }, { dimension: 40 })
    const { page, elsewhere, faults } = await visit(browser, url, '/docs')
    await page.locator('#key').fill('secret')
    await page.keyboard.press('Enter')
    const embeddings = page.locator('details.operation', { hasText: '/v1/embeddings' })
    await embeddings.waitFor()

    const { paths } = (await (
      await fetch(`${url}/openapi.json`, { headers: { authorization: 'Bearer secret' } })
    ).json()) as { paths: Record<string, object> }
    expect(await page.locator('details.operation').count()).toBe(Object.keys(paths).length)
    const fields = embeddings.getByRole('region', { name: 'Fields of the request' })
    const row = (name: string) => fields.locator('tr', { has: page.locator(`th code:text-is("${name}")`) })
    expect(await row('request_type').textContent()).toContain('"query" or "bulk_text" or "bulk_video"')
    expect(await row('model').textContent()).toContain('"double"')
    expect(await row('input').last().textContent()).toContain('a list of 1 to 64: a data URI')
    expect(await page.locator('#errors').count()).toBe(1)
    const statuses = await page.locator('#errors').getByRole('region').first().locator('th').allTextContents()
    expect(statuses).toEqual(expect.arrayContaining(['401', '422', '429', '503']))
    expect(await page.locator('#errors').textContent()).toContain('error.status_code')

    await embeddings.getByRole('button', { name: 'Send' }).click()
    const answer = embeddings.locator('pre.answer')
    await expect.poll(() => answer.textContent()).toContain('200 OK')
    const folded = answer.getByRole('button', { name: '… 37 more' })
    await folded.click()
    const [, json = ''] = (await answer.textContent())?.split('\n\n') ?? []
    expect(JSON.parse(json).data[0].embedding).toHaveLength(40)

    // The copied command works in a shell, whatever the body contains.
    const body = { request_type: 'query', input: `it's "a" $HOME \\ \`red\` circle`, model: 'double' }
    await embeddings.locator('textarea').fill(JSON.stringify(body))
    const command = (await embeddings.locator('pre.curl').textContent()) ?? ''
    const env = { ...process.env, COSMOS_EMBED_API_KEY: 'secret' }
    const { stdout } = await promisify(execFile)('sh', ['-c', command], { env })
    expect(JSON.parse(stdout).data[0].embedding).toHaveLength(40)

    await page.screenshot({ path: path.join(screenshots, 'docs.png'), fullPage: true })
    expect(await fits(page)).toBe(true)
    expect({ elsewhere, faults }).toEqual({ elsewhere: [], faults: [] })
  })

  it('works under the prefix of another server', async () => {
    const app = Fastify()
    onTestFinished(() => app.close())
    await app.register(cosmosEmbed, { embedder: doubleEmbedder(), prefix: '/embed' })
    const url = await app.listen({ port: 0 })
    const { page, faults } = await visit(browser, url, '/embed/docs')
    const models = page.locator('details.operation', { hasText: '/v1/models' }).first()
    await models.locator('summary').click()
    await models.getByRole('button', { name: 'Send' }).click()
    await expect.poll(() => models.locator('pre.answer').textContent()).toContain('"id": "double"')
    expect(faults).toEqual([])
  })
})
