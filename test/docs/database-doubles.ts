/**
 * Doubles of three databases, which accept what their documentation says and nothing else: methods, paths, content types,
 * every field, the number of dimensions, and unit length where it is required.
 */
import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { Ajv } from 'ajv'

const dimensions = 256

interface Asked {
  /** Method and path, with its query. */
  route: string
  type: string | undefined
  body: string
}

interface Reply {
  status: number
  body: unknown
}

export type Double = (asked: Asked) => Reply

/** Serves the double. What it throws is the answer with status 400. */
export function serveDatabase(double: Double): Server {
  return createServer(async (request, response) => {
    const asked = {
      route: `${request.method} ${request.url}`,
      type: request.headers['content-type'],
      body: await text(request),
    }
    const reply = (() => {
      try {
        return double(asked)
      } catch (error) {
        return { status: 400, body: { code: 1100, message: (error as Error).message } }
      }
    })()
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(JSON.stringify(reply.body))
  })
}

const ajv = new Ajv({ allErrors: true })
const vector = { type: 'array', items: { type: 'number' }, minItems: dimensions, maxItems: dimensions }
const string = { type: 'string' }
const limit = { type: 'integer', minimum: 1 }

/** An object with exactly these fields. */
const exactly = (properties: object) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
})
const is = (value: unknown) => ({ const: value })

function checker<T>(schema: object): (body: string) => T {
  const fits = ajv.compile(schema)
  return (body) => {
    const value = JSON.parse(body)
    if (!fits(value)) throw new Error(ajv.errorsText(fits.errors))
    return value as T
  }
}

function unit(values: readonly number[]): readonly number[] {
  const norm = Math.hypot(...values)
  if (Math.abs(norm - 1) > 1e-4) throw new Error(`the length of the vector is ${norm}, not 1`)
  return values
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0)

class Table<Row> {
  readonly #rows = new Map<string | number, { vector: readonly number[]; row: Row }>()
  exists = false

  create(): void {
    if (this.exists) throw new Error('it exists')
    this.exists = true
  }

  put(id: string | number, vector: readonly number[], row: Row): void {
    if (!this.exists) throw new Error('there is no such collection')
    this.#rows.set(id, { vector: unit(vector), row })
  }

  nearest(query: readonly number[], limit: number): { id: string | number; score: number; row: Row }[] {
    const scored = [...this.#rows].map(([id, { vector, row }]) => ({ id, score: dot(query, vector), row }))
    return scored.sort((a, b) => b.score - a.score).slice(0, limit)
  }
}

function onlyJson({ type }: Asked): void {
  if (type !== 'application/json') throw new Error(`content-type ${type}`)
}

function noRoute({ route }: Asked): never {
  throw new Error(`there is no ${route}`)
}

interface Payload {
  video: string
  fingerprint: string
}

export function qdrant(): Double {
  const table = new Table<Payload>()
  const payload = exactly({ video: string, fingerprint: string })
  const create = checker(exactly({ vectors: exactly({ size: is(dimensions), distance: is('Dot') }) }))
  // Ids are unsigned integers or UUIDs.
  const id = {
    anyOf: [
      { type: 'integer', minimum: 0 },
      { type: 'string', pattern: '^[0-9a-f-]{36}$' },
    ],
  }
  const upsert = checker<{ points: { id: number; vector: number[]; payload: Payload }[] }>(
    exactly({ points: { type: 'array', items: exactly({ id, vector, payload }), minItems: 1 } }),
  )
  const match = exactly({ key: is('fingerprint'), match: exactly({ value: string }) })
  const search = checker<{
    query: number[]
    limit: number
    filter: { must: [{ match: { value: string } }] }
  }>(
    exactly({
      query: vector,
      filter: exactly({ must: { type: 'array', items: match, minItems: 1, maxItems: 1 } }),
      limit,
      with_payload: is(true),
    }),
  )
  const ok = (result: unknown) => ({ status: 200, body: { result, status: 'ok', time: 0.001 } })
  return (asked) => {
    onlyJson(asked)
    switch (asked.route) {
      case 'PUT /collections/clips':
        create(asked.body)
        table.create()
        return ok(true)
      case 'PUT /collections/clips/points?wait=true':
        for (const point of upsert(asked.body).points) table.put(point.id, point.vector, point.payload)
        return ok({ operation_id: 1, status: 'completed' })
      case 'POST /collections/clips/points/query': {
        const { query, limit, filter } = search(asked.body)
        const [{ match }] = filter.must
        const found = table.nearest(query, limit).filter(({ row }) => row.fingerprint === match.value)
        return ok({ points: found.map(({ id, score, row }) => ({ id, version: 1, score, payload: row })) })
      }
      default:
        return noRoute(asked)
    }
  }
}

export function milvus(): Double {
  const table = new Table<string>()
  const key = exactly({
    ...{ fieldName: is('video'), dataType: is('VarChar'), isPrimary: is(true) },
    elementTypeParams: exactly({ max_length: { type: 'string', pattern: '^\\d+$' } }),
  })
  const field = exactly({
    ...{ fieldName: is('vector'), dataType: is('FloatVector') },
    elementTypeParams: exactly({ dim: is(`${dimensions}`) }),
  })
  const index = exactly({
    ...{ fieldName: is('vector'), indexName: string, metricType: is('IP'), indexType: is('AUTOINDEX') },
  })
  const list = (...items: object[]) => ({
    type: 'array',
    items,
    minItems: items.length,
    additionalItems: false,
  })
  const collectionName = is('clips')
  const create = checker(
    exactly({ collectionName, schema: exactly({ fields: list(key, field) }), indexParams: list(index) }),
  )
  const upsert = checker<{ data: { video: string; vector: number[] }[] }>(
    exactly({
      collectionName,
      data: { type: 'array', items: exactly({ video: string, vector }), minItems: 1 },
    }),
  )
  const search = checker<{ data: [number[]]; limit: number }>(
    exactly({
      ...{ collectionName, data: list(vector), annsField: is('vector'), limit },
      ...{ outputFields: list(is('video')), consistencyLevel: is('Strong') },
    }),
  )
  const ok = (data: unknown) => ({ status: 200, body: { code: 0, data } })
  const answer: Double = (asked) => {
    onlyJson(asked)
    switch (asked.route) {
      case 'POST /v2/vectordb/collections/create':
        create(asked.body)
        // The same collection once more is no error in Milvus.
        table.exists = true
        return ok({})
      case 'POST /v2/vectordb/entities/upsert': {
        const { data } = upsert(asked.body)
        for (const { video, vector } of data) table.put(video, vector, video)
        return ok({ upsertCount: data.length, upsertIds: data.map(({ video }) => video) })
      }
      case 'POST /v2/vectordb/entities/search': {
        const { data, limit } = search(asked.body)
        return ok(table.nearest(data[0], limit).map(({ score, row }) => ({ distance: score, video: row })))
      }
      default:
        return noRoute(asked)
    }
  }
  // Milvus says in the body that something is wrong.
  return (asked) => {
    try {
      return answer(asked)
    } catch (error) {
      return { status: 200, body: { code: 1100, message: (error as Error).message } }
    }
  }
}

export function elasticsearch(): Double {
  const table = new Table<string>()
  const embedding = exactly({
    ...{ type: is('dense_vector'), dims: is(dimensions), index: is(true), similarity: is('dot_product') },
  })
  const create = checker(
    exactly({
      mappings: exactly({
        properties: exactly({ embedding, fingerprint: exactly({ type: is('keyword') }) }),
      }),
    }),
  )
  const action = checker<{ index: { _id: string } }>(exactly({ index: exactly({ _id: string }) }))
  const source = checker<{ embedding: number[]; fingerprint: string }>(
    exactly({ embedding: vector, fingerprint: string }),
  )
  const search = checker<{
    knn: {
      query_vector: number[]
      k: number
      num_candidates: number
      filter: { term: { fingerprint: string } }
    }
  }>(
    exactly({
      knn: exactly({
        ...{ field: is('embedding'), query_vector: vector, k: limit },
        ...{ num_candidates: limit, filter: exactly({ term: exactly({ fingerprint: string }) }) },
      }),
      _source: is(false),
    }),
  )
  return (asked) => {
    if (asked.route === 'POST /clips/_bulk?refresh=true') {
      if (asked.type !== 'application/x-ndjson') throw new Error(`content-type ${asked.type}`)
      if (!asked.body.endsWith('\n')) throw new Error('a bulk request must end with a newline')
      const lines = asked.body.slice(0, -1).split('\n')
      for (let at = 0; at < lines.length; at += 2) {
        const { embedding, fingerprint } = source(lines[at + 1] ?? '')
        table.put(action(lines[at] ?? '').index._id, embedding, fingerprint)
      }
      return { status: 200, body: { took: 1, errors: false, items: [] } }
    }
    onlyJson(asked)
    if (asked.route === 'PUT /clips') {
      create(asked.body)
      table.create()
      return { status: 200, body: { acknowledged: true, shards_acknowledged: true, index: 'clips' } }
    }
    if (asked.route !== 'POST /clips/_search') return noRoute(asked)
    const { query_vector, k, num_candidates, filter } = search(asked.body).knn
    if (num_candidates < k) throw new Error('[num_candidates] cannot be less than [k]')
    const found = table.nearest(unit(query_vector), k).filter(({ row }) => row === filter.term.fingerprint)
    const hits = found.map(({ id, score }) => ({ _index: 'clips', _id: id, _score: (1 + score) / 2 }))
    return { status: 200, body: { took: 1, timed_out: false, hits: { hits } } }
  }
}
