// A LanceDB table that embeds its own rows, searched by text:
//
//   node main.mjs 'a red circle' FOLDER [DATABASE]

import { readdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import * as lancedb from '@lancedb/lancedb'
import * as embedding from '@lancedb/lancedb/embedding'
import { Utf8 } from 'apache-arrow'
import { createEmbedder } from 'cosmos-embed'
import { cosmosFunction } from 'cosmos-embed/lancedb'

const [text, folder, database = 'media.lance'] = process.argv.slice(2)
if (folder === undefined) throw new Error('pass a text and a folder')

const embedder = await createEmbedder({ model: process.env.MODEL })
// `files` allows paths: here they come from this program, not from users.
const cosmos = await cosmosFunction(embedding, { embedder, source: 'video', files: true })
const schema = embedding.LanceSchema({ path: cosmos.sourceField(new Utf8()), vector: cosmos.vectorField() })

const db = await lancedb.connect(database)
const table = await db.createEmptyTable('clips', schema, { mode: 'create', existOk: true })

const known = new Set((await table.query().select(['path']).toArray()).map((row) => row.path))
const found = (await readdir(folder)).filter((name) => /\.(mp4|webm|mov|mkv)$/i.test(name))
const rows = found.map((name) => ({ path: path.resolve(folder, name) })).filter((row) => !known.has(row.path))
if (rows.length > 0) await table.add(rows)
console.log(`${rows.length} new, ${known.size} were there`)

for (const { path: file, _distance } of await table.search(text).distanceType('dot').limit(5).toArray()) {
  console.log((1 - _distance).toFixed(3), file)
}
await embedder.dispose()
