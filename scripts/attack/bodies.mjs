// Bodies that cost a parser more than their length suggests, or that an error message might repeat.

import { post, query } from './client.mjs'
import { limits } from './limits.mjs'

const room = limits.bodyBytes - 1024
const filled = (unit) => unit.repeat(Math.floor(room / unit.length))
const withInput = (json) => `{"request_type":"query","model":"cosmos-embed-demo","input":${json}}`

/** A valid request with additional fields. */
const withMore = (fields) => `{"request_type":"query","model":"cosmos-embed-demo","input":"a",${fields}}`

/** @type {Record<string, [make: () => string | Buffer, statuses: number[]]>} */
const bodies = {
  'empty objects': [() => `[${filled('{},')}{}]`, [422]],
  'empty objects as input': [() => withInput(`[${filled('{},')}{}]`), [422]],
  'lists in lists': [() => filled('['), [422]],
  'objects in objects': [() => filled('{"a":'), [422]],
  numbers: [() => withInput(`[${filled('1,')}1]`), [422]],
  'one long number': [() => withInput(filled('1')), [422]],
  blanks: [() => `${filled(' ')}{}`, [422]],
  'one field, repeated': [() => `{${filled('"model":"a",')}"model":"a"}`, [422]],
  'fields with names of their own': [
    () => withMore(Array.from({ length: 200_000 }, (_, at) => `"k${at}":1`).join(',')),
    [422],
  ],
  'one name of megabytes': [() => withMore(`"${filled('n')}":1`), [422]],
  prototypes: [() => `{"__proto__":{"constructor":{"prototype":{"a":1}}},"constructor":1}`, [422]],
  'a text of escapes': [() => withInput(`"${filled('\\u4e2d')}"`), [422]],
  'quotes and backslashes': [() => withInput(`"${filled('\\\\\\"')}"`), [422]],
  'pictures that are commas': [
    () => withInput(`"data:video_frames/jpg;base64,{${filled(',')}}"`),
    [422, 413],
  ],
  'pictures that are blanks': [
    () => withInput(`"data:video_frames/jpg;presigned_url,{https://a${filled(', ')}}"`),
    [422],
  ],
  'invalid base64': [() => withInput(`"data:video/mp4;base64,${filled('A')}!"`), [422, 413]],
  'invalid UTF-8': [() => Buffer.alloc(room, 0xff), [400]],
}

const inShort = ['empty objects', 'lists in lists', 'fields with names of their own', 'one name of megabytes']

export const bodyAttacks = [
  ...Object.entries(bodies).map(([name, [make, statuses]]) => ({
    name: `JSON: ${name}`,
    short: inShort.includes(name),
    statuses,
    seconds: 20,
    // An error message must not repeat the request.
    answerBytes: 4096,
    run: async ({ url }) => [await post(url, make())],
  })),
  {
    name: 'JSON: long bodies whose clients leave, before short ones',
    short: true,
    statuses: [0, 200],
    seconds: 30,
    run: async ({ url }) => {
      const body = withInput(`"data:video/mp4;base64,${filled('A')}"`)
      const abandoned = Array.from({ length: 6 }, (_, at) =>
        post(url, body, { signal: AbortSignal.timeout(100 + 150 * at) }),
      )
      const short = query('a red circle '.repeat(30_000).slice(0, 65_000), 'bulk_text')
      const answers = await Promise.all([...abandoned, post(url, short), post(url, query('a red circle'))])
      return answers.filter(({ status }) => status !== 429 && status !== 413 && status !== 422)
    },
  },
  {
    name: 'bodies as forms, as parts, compressed',
    short: true,
    statuses: [415],
    seconds: 10,
    answerBytes: 4096,
    run: ({ url }) =>
      Promise.all([
        ...[
          'multipart/form-data; boundary=x',
          'text/plain',
          'application/x-www-form-urlencoded',
          'application/xml',
        ].map((type) => post(url, 'x'.repeat(1_000_000), { headers: { 'content-type': type } })),
        post(url, 'x'.repeat(1_000_000), { headers: { 'content-encoding': 'gzip' } }),
      ]),
  },
]
