// The manifests of `cosmos-embed index`: lines of JSON, CSV, and what is carried over from their rows.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ColumnSurvey, carry } from '../../../dist/bulk/columns.js'
import { openSources } from '../../../dist/bulk/sources.js'
import { CosmosEmbedError } from '../../../dist/errors.js'

const rows = [
  { id: 'a', video: 'clips/a.mp4', start: 0, end: 2.5, title: 'é', size: 12 },
  { video: 'https://example.com/a.mp4?token=secret', camera: null },
  { video: 's3://bucket/key.mp4', tags: ['a', 'b'], nested: { a: 1 } },
  { id: 'f', video: 'file:///clips/a%20b.mp4' },
  { id: 7, text: 'a red circle', shown: true, score: 0.5 },
]

export const seeds = [
  rows.map((row) => JSON.stringify(row)).join('\n'),
  `\ufeff${JSON.stringify(rows[0])}\r\n\r\n${JSON.stringify(rows[4])}\r\n`,
  'csv\nid,video,start,end,title\na,clips/a.mp4,0,2.5,"one, ""two"""\nb,clips/b.mp4,,,\n',
  'csv\n\ufefftext,score\n"a red\ncircle",0.5\nblue,\n',
]

export const allowed = (error) =>
  error instanceof CosmosEmbedError && ['source', 'invalid_request', 'invalid_argument'].includes(error.code)

let folder

export function begin() {
  folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-fuzz-'))
}

export function end() {
  rmSync(folder, { recursive: true, force: true })
}

export async function run(bytes) {
  const isCsv = bytes.subarray(0, 4).equals(Buffer.from('csv\n'))
  const file = path.join(folder, isCsv ? 'rows.csv' : 'rows.jsonl')
  writeFileSync(file, isCsv ? bytes.subarray(4) : bytes)
  const opened = await openSources([file])
  try {
    const carried = []
    const survey = new ColumnSurvey()
    for (const source of opened.sources) {
      for await (const item of itemsOf(source, isCsv)) {
        if (check(item)) continue
        survey.add(item.carried)
        carried.push(item.carried)
      }
    }
    const columns = survey.columns()
    for (const row of carried) JSON.stringify(carry(row, columns))
  } finally {
    await opened[Symbol.asyncDispose]()
  }
}

/** A row of JSON that is wrong is a row with a problem. It does not end the run, as damaged CSV does. */
async function* itemsOf(source, mayEnd) {
  try {
    yield* source.items()
  } catch (error) {
    throw mayEnd ? error : new Error('a row ended the run', { cause: error })
  }
}

/** @returns whether the row is a bad one, which a typed error describes */
function check(item) {
  if ('problem' in item) {
    if (!allowed(item.problem)) throw item.problem
    return true
  }
  if (/^https?:.*\?/.test(item.uri ?? '')) throw new Error('a query in the address of an item')
  return false
}
