// Bodies that cost a parser more than their length, and answers that repeat what was sent.

import { post, query } from './client.mjs'
import { limits } from './limits.mjs'

const room = limits.bodyBytes - 1024
const inside = (unit) => unit.repeat(Math.floor(room / unit.length))
const withInput = (json) => `{"request_type":"query","model":"cosmos-embed-demo","input":${json}}`

/** A request that is right but for further fields. */
const withMore = (fields) => `{"request_type":"query","model":"cosmos-embed-demo","input":"a",${fields}}`

const bodies = {
  'empty objects': [() => `[${inside('{},')}{}]`, [422]],
  'empty objects as input': [() => withInput(`[${inside('{},')}{}]`), [422]],
  'lists in lists': [() => inside('['), [422]],
  'objects in objects': [() => inside('{"a":'), [422]],
  numbers: [() => withInput(`[${inside('1,')}1]`), [422]],
  'one long number': [() => withInput(inside('1')), [422]],
  blanks: [() => `${inside(' ')}{}`, [422]],
  'the same field again and again': [() => `{${inside('"model":"a",')}"model":"a"}`, [422]],
  'fields with names of their own': [
    () => withMore(Array.from({ length: 200_000 }, (_, at) => `"k${at}":1`).join(',')),
    [422],
  ],
  'one name of megabytes': [() => withMore(`"${inside('n')}":1`), [422]],
  prototypes: [() => `{"__proto__":{"constructor":{"prototype":{"a":1}}},"constructor":1}`, [422]],
  'a text of escapes': [() => withInput(`"${inside('\\u4e2d')}"`), [422]],
  'quotes and backslashes': [() => withInput(`"${inside('\\\\\\"')}"`), [422]],
  'pictures that are commas': [
    () => withInput(`"data:video_frames/jpg;base64,{${inside(',')}}"`),
    [422, 413],
  ],
  'pictures that are blanks': [
    () => withInput(`"data:video_frames/jpg;presigned_url,{https://a${inside(', ')}}"`),
    [422],
  ],
  'base64 that is none': [() => withInput(`"data:video/mp4;base64,${inside('A')}!"`), [422, 413]],
  'no UTF-8': [() => Buffer.alloc(room, 0xff), [400]],
}

const inShort = ['empty objects', 'lists in lists', 'fields with names of their own', 'one name of megabytes']

export const bodyAttacks = [
  ...Object.entries(bodies).map(([name, [make, statuses]]) => ({
    name: `JSON: ${name}`,
    short: inShort.includes(name),
    statuses,
    seconds: 20,
    // An error message is no copy of the request.
    answerBytes: 4096,
    run: async ({ url }) => [await post(url, make())],
  })),
  {
    name: 'JSON: long bodies that are given up, before short ones',
    short: true,
    statuses: [0, 200],
    seconds: 30,
    run: async ({ url }) => {
      const body = withInput(`"data:video/mp4;base64,${inside('A')}"`)
      const givenUp = Array.from({ length: 6 }, (_, at) =>
        post(url, body, { signal: AbortSignal.timeout(100 + 150 * at) }),
      )
      const short = query('a red circle '.repeat(30_000).slice(0, 65_000), 'bulk_text')
      const answers = await Promise.all([...givenUp, post(url, short), post(url, query('a red circle'))])
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
