/** The dashboard and the alert rules speak of metrics that the server has, with labels that they have. */
import { readFileSync } from 'node:fs'
import { parser } from '@prometheus-io/lezer-promql'
import { createServer } from 'cosmos-embed/http'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { doubleEmbedder } from '../http/embedder-double.ts'
import { post, request } from '../http/support.ts'
import { root } from './support.ts'

const read = (name: string) => readFileSync(`${root}/examples/monitoring/${name}`, 'utf8')

interface Dashboard {
  panels: {
    id: number
    title: string
    gridPos: Record<'x' | 'y' | 'w' | 'h', number>
    targets?: { expr: string }[]
  }[]
}

const dashboard = JSON.parse(read('dashboard.json')) as Dashboard
const inDashboard = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
const alerts = [...read('alerts.yml').matchAll(/^ +expr: (.+)$/gm)].map(([, expr = '']) => expr)

/** The values of each label of each series, by its name; of a histogram also of its parts. */
const series = new Map<string, Map<string, Set<string>>>()

const decoders = { idle: 1, busy: 2, started: 3, crashed: 0, ended: 0, retired: 0 }

beforeAll(async () => {
  vi.stubEnv('PATH', `${root}/test/examples/bin:${process.env.PATH}`)
  const double = doubleEmbedder({ device: 'cuda', decoders })
  const server = await createServer({ embedder: double })
  const url = await server.listen({ port: 0 })
  await server.ready
  await post(url, { request_type: 'query', input: 'a', model: 'double' })
  await post(url, '{')
  double.emit({ timings: { download: 1, open: 1, decode: 1, convert: 1, queue: 1, encode: 1, total: 6 } })
  let text = ''
  // nvidia-smi is asked in the background.
  await vi.waitUntil(async () => {
    text = (await request(`${url}/v1/metrics`)).body as string
    return text.includes('gpu_power_usage_watts{')
  })
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const known = series.get(name) ?? new Map<string, Set<string>>()
    series.set(name, known)
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
      known.set(label, (known.get(label) ?? new Set()).add(value))
    }
  }
  await server.close()
})

/** What Prometheus itself adds to each series of a target. */
const added = ['instance', 'job']

interface Facts {
  errors: string[]
  selectors: { name: string; matchers: { label: string; operator: string; value: string }[] }[]
  grouping: string[]
}

function parse(query: string): Facts {
  const facts: Facts = { errors: [], selectors: [], grouping: [] }
  const text = query.replaceAll('$__rate_interval', '5m')
  const of = (from: number, to: number) => text.slice(from, to)
  parser.parse(text).iterate({
    enter: ({ type, from, to, node }) => {
      if (type.isError) facts.errors.push(`${of(0, from)}⚠${of(from, text.length)}`)
      if (type.name === 'VectorSelector') facts.selectors.push({ name: '', matchers: [] })
      const selector = facts.selectors.at(-1)
      if (type.name === 'Identifier' && node.parent?.name === 'VectorSelector' && selector) {
        selector.name = of(from, to)
      }
      if (type.name === 'UnquotedLabelMatcher') {
        const [, label = '', operator = '', value = ''] =
          /^(\w+)\s*(=~|!~|!=|=)\s*"(.*)"$/.exec(of(from, to)) ?? []
        selector?.matchers.push({ label, operator, value })
      }
      if (type.name === 'LabelName' && node.parent?.name === 'GroupingLabels')
        facts.grouping.push(of(from, to))
    },
  })
  return facts
}

/** What is wrong with the query. */
function problems(query: string): string[] {
  const { errors, selectors, grouping } = parse(query)
  const found = errors.map((error) => `not PromQL: ${error}`)
  if (selectors.length === 0) found.push('selects nothing')
  for (const { name, matchers } of selectors) {
    if (!series.has(name)) found.push(`the server has no ${name}`)
    for (const { label, operator, value } of matchers.filter((each) => !added.includes(each.label))) {
      const values = [...(series.get(name)?.get(label) ?? [])]
      const fits = operator === '=' ? values.includes(value) : values.length > 0
      if (!fits) found.push(`${name} has no ${label}${operator}"${value}"`)
    }
  }
  const known = selectors.flatMap(({ name }) => [...(series.get(name)?.keys() ?? [])])
  for (const label of grouping) if (![...known, ...added].includes(label)) found.push(`nothing has ${label}`)
  return found
}

describe.each([
  ['dashboard.json', inDashboard],
  ['alerts.yml', alerts],
])('%s', (_, queries) => {
  it('has queries of PromQL, over metrics and labels of the server', () => {
    expect(queries.length).toBeGreaterThan(8)
    for (const query of queries) expect(problems(query), query).toEqual([])
  })
})

it('wrong queries are found', () => {
  expect(problems('rate(cosmos_embed_requests_total[5m]')).toEqual([expect.stringContaining('not PromQL')])
  expect(problems('cosmos_embed_request_total')).toEqual(['the server has no cosmos_embed_request_total'])
  expect(problems('cosmos_embed_rejected_total{reason="ful"}')).toHaveLength(1)
  expect(problems('cosmos_embed_rejected_total{cause=~".+"}')).toHaveLength(1)
  expect(problems('sum by (route) (cosmos_embed_requests_total)')).toEqual(['nothing has route'])
  expect(problems('sum by (instance) (cosmos_embed_requests_total{status=~"2..", job="x"})')).toEqual([])
})

it('the dashboard shows every metric of this package', () => {
  const shown = new Set(inDashboard.flatMap((query) => parse(query).selectors.map(({ name }) => name)))
  const base = (name: string) => name.replace(/_(bucket|sum|count)$/, '')
  const bases = new Set([...shown].map(base))
  const own = [...series.keys()].filter((name) => /^(cosmos_embed|gpu)_/.test(name)).map(base)
  expect(own.filter((name) => !bases.has(name))).toEqual([])
})

it('no two panels overlap', () => {
  const taken = new Set<string>()
  for (const { title, gridPos } of dashboard.panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken.has(`${x} ${y}`), `${title} at ${x}, ${y}`).toBe(false)
        taken.add(`${x} ${y}`)
      }
    }
  }
  expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length)
})
