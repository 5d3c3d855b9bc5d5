/** Uses the OpenAPI document to judge responses and to generate requests. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { expect } from 'vitest'
import { type Answer, request } from './support.ts'

type Json = Record<string, unknown>
export interface Operation {
  operationId: string
  requestBody?: { content: { 'application/json': { schema: Json } } }
  responses: Record<string, { content: Record<string, { schema: Json }> }>
}
export interface Document {
  paths: Record<string, Record<string, Operation>>
}

export class Oracle {
  readonly document: Document
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false })
  readonly #validators = new Map<string, ValidateFunction>()

  static async of(url: string): Promise<Oracle> {
    return new Oracle((await request(`${url}/openapi.json`)).body as Document)
  }

  constructor(document: Document) {
    this.document = document
    this.#ajv.addSchema(document as never, 'api')
  }

  /** Fails unless the document describes this response. */
  judge(method: string, path: string, answer: Answer): void {
    const operation = this.document.paths[path]?.[method.toLowerCase()]
    const response = operation?.responses[String(answer.status)]
    expect(response, `${method} ${path} may not answer ${answer.status}`).toBeDefined()
    expect(answer.headers.get('x-request-id')).toBeTruthy()
    const type = answer.headers.get('content-type')?.split(';', 1)[0] as string
    expect(Object.keys(response?.content ?? {})).toContain(type)
    const pointer = [
      'paths',
      path,
      method.toLowerCase(),
      'responses',
      String(answer.status),
      'content',
      type,
      'schema',
    ]
      .map(escaped)
      .join('/')
    const validate = this.#validator(`api#/${pointer}`)
    validate(answer.body)
    expect(validate.errors ?? [], `${method} ${path} ${answer.status}`).toEqual([])
  }

  /** The errors of a request body for `path`, by the schema of the document. */
  faults(path: string, body: unknown): unknown[] {
    const pointer = ['paths', path, 'post', 'requestBody', 'content', 'application/json', 'schema']
    const validate = this.#validator(`api#/${pointer.map(escaped).join('/')}`)
    validate(body)
    return validate.errors ?? []
  }

  #validator(reference: string): ValidateFunction {
    const known = this.#validators.get(reference)
    if (known) return known
    const validate = this.#ajv.compile({ $ref: reference })
    this.#validators.set(reference, validate)
    return validate
  }
}

/** Escapes one part of a JSON pointer in a URI. */
function escaped(part: string): string {
  return encodeURIComponent(part.replace(/~/g, '~0').replace(/\//g, '~1'))
}

/** A random request as clients may write it: data URIs with parameters, blanks and letters of either case. */
export function writtenAnyhow(random: () => number): Record<string, unknown> {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T
  const shout = (text: string) =>
    text.replace(/[a-z]/g, (letter) => (random() < 0.3 ? letter.toUpperCase() : letter))
  const blank = () => pick(['', '', ' ', '\n\t'])
  const parameter = () =>
    pick(['', '', ';codecs=vp9,opus', ' ; charset=utf-8', ';codecs="avc1, mp4a;x"', ';a=b;c=d'])
  const form = (kind: string, encoding: string, payload: string) => {
    const head = `data:${kind}/${pick(['mp4', 'webm', 'x-matroska', 'jpg', 'vnd.x+y'])}`
    return (
      blank() +
      shout(head) +
      parameter() +
      blank() +
      ';' +
      blank() +
      shout(encoding) +
      ',' +
      payload +
      blank()
    )
  }
  const list = (part: string) => {
    const parts = Array.from({ length: 8 }, () => part).join(pick([',', ' , ', ',\n']))
    return random() < 0.5 ? `{${parts}}` : parts
  }
  const url = 'https://a.example/b.mp4?c=d'
  const text = () => pick(['a red circle', 'clips/a.mp4', 'data: the new oil', 'https://a.example/', ' x '])
  const video = () =>
    pick([
      () => form('video', 'presigned_url', url),
      () => form('video_frames', 'presigned_url', list(url)),
    ])()
  const picture = () => form('video_frames', 'base64', list('AAAA'))
  const kind = pick(['query', 'bulk_text', 'bulk_video', 'none'] as const)
  const input = {
    query: () =>
      pick([text, video, picture, () => form('video', 'base64', 'AAAA'), () => [text(), text()]])(),
    bulk_text: () => pick<() => unknown>([text, () => [text(), text()]])(),
    bulk_video: () => pick<() => unknown>([video, picture, () => [video(), video()]])(),
    none: () => pick<() => unknown>([text, video, () => [text(), text()], () => [video(), video()]])(),
  }[kind]()
  return {
    ...(kind !== 'none' && { request_type: kind }),
    input,
    model: 'double',
    ...(random() < 0.5 && {
      encoding_format: pick(kind === 'none' ? ['float', 'base64', null] : ['float', 'base64']),
    }),
    ...(kind === 'none' && pick<object>([{}, { user: 'me' }, { dimensions: 8, user: null }])),
  }
}

/** Numbers in [0, 1) from a seed, so that failures can be repeated. */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const strings = [
  '',
  ' ',
  'a red circle',
  'é中😀\u0000\ud800',
  'x'.repeat(70_000),
  'data:',
  'data:video/mp4;base64,',
  'data:video/mp4;base64,AAAA',
  'data:video/mp4;base64,AAA-',
  'data:video/mp4;presigned_url,https://a.example/b.mp4?c=d,e',
  'data:video/mp4;presigned_url,http://127.0.0.1/',
  'data:video/mp4;presigned_url,file:///etc/passwd',
  'data:video_frames/jpg;base64,{AAAA,AAAA,AAAA,AAAA,AAAA,AAAA,AAAA,AAAA}',
  'data:video_frames/jpg;base64,{,,,,,,,}',
  'data:video_frames/jpg;base64,AAAA',
  'data:video_frames/png;presigned_url,{https://a.example/1}',
  'data:image/png;base64,AAAA',
  'DATA:VIDEO/MP4;BASE64,AAAA',
]

/** Generates values that mostly match a schema, and sometimes do not. */
export function generate(schema: Json, random: () => number): unknown {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T
  if (random() < 0.04) return pick([null, true, 0, -1e308, [], {}, '', [[]], { input: 1 }])
  const branches = (schema.oneOf ?? schema.anyOf) as Json[] | undefined
  if (branches) return generate(pick(branches), random)
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return pick(schema.enum)
  if (schema.type === 'array') {
    const length = pick([0, 1, 1, 1, 2, 2, 64, 65])
    return Array.from({ length }, () => generate(schema.items as Json, random))
  }
  if (schema.type === 'object') {
    const entries = Object.entries(schema.properties as Record<string, Json>)
      .filter(() => random() > 0.05)
      .map(([name, value]) => [name, generate(value, random)])
    if (random() < 0.05) entries.push([pick(['user', '__proto__', 'constructor', 'dimensions']), 1])
    return Object.fromEntries(entries)
  }
  const pattern = typeof schema.pattern === 'string' ? new RegExp(schema.pattern) : /\S/
  return random() < 0.1 ? pick(strings) : pick(strings.filter((text) => pattern.test(text)))
}
