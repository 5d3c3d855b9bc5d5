/** Compares docs/http.md with the code. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { transportTable } from '../../src/http/errors.ts'
import { request, serveDouble } from './support.ts'

const docs = readFileSync(new URL('../../docs/http.md', import.meta.url), 'utf8')

describe('docs/http.md', () => {
  it('has the table of errors', () => {
    const rows = [...docs.matchAll(/^\| `(\w+)` \| (\d{3}) \| `(\w+)` \| (yes|no) \|/gm)]
    const documented = rows.map(([, code, status, type, retry]) => [
      code,
      { status: Number(status), type, retryable: retry === 'yes' },
    ])
    expect(Object.fromEntries(documented)).toEqual(transportTable)
  })

  it('names every route', async () => {
    const { url } = await serveDouble()
    const { body } = await request(`${url}/openapi.json`)
    const { paths } = body as { paths: Record<string, unknown> }
    for (const path of Object.keys(paths)) expect(docs).toContain(path)
  })

  it('names every metric of this package', async () => {
    const { url } = await serveDouble()
    const { body } = await request(`${url}/v1/metrics`)
    const names = new Set((body as string).match(/^# TYPE cosmos_embed_\w+/gm)?.map((line) => line.slice(7)))
    expect(names.size).toBeGreaterThan(10)
    for (const name of names) expect(docs).toContain(`\`${name}\``)
  })

  it('has the defaults of the limits', async () => {
    const { url } = await serveDouble()
    const { body } = await request(`${url}/v1/metadata`)
    const { limits } = body as { limits: { request: Record<string, number> } }
    const flagOf = (name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    for (const [name, value] of Object.entries(limits.request)) {
      if (name === 'workerBodyBytes') continue
      const [, text = ''] = new RegExp(`^\\| \`${flagOf(name)}\` \\| ([^|]+) \\|`, 'm').exec(docs) ?? []
      const unit = text.includes('MiB') ? 2 ** 20 : 1
      expect(Number.parseInt(text.replace(/ (?=\d)/g, ''), 10) * unit, name).toBe(value)
    }
  })
})
