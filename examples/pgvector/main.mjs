// Embeds a folder into PostgreSQL, skipping what is there, and searches it:
//
//   node examples/pgvector/main.mjs postgres://user@localhost/media 'a red circle' [FOLDER]

import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { createEmbedder } from 'cosmos-embed'
import { buildIndex, openSources, postgresSink } from 'cosmos-embed/bulk'
import pg from 'pg'

const [url, text, given] = process.argv.slice(2)
if (text === undefined) throw new Error('pass a database URL and a text')
const folder = path.resolve(given ?? fileURLToPath(new URL('../clips', import.meta.url)))

const embedder = await createEmbedder({ model: process.env.MODEL })
const opened = await openSources([folder])
const tally = await buildIndex(embedder, opened.sources, postgresSink(url, 'clips'))
console.log(`${tally.embedded} new, ${tally.skipped} were there, ${tally.failed} failed`)

const client = new pg.Client({ connectionString: url })
await client.connect()
await client.query('CREATE INDEX IF NOT EXISTS clips_embedding ON clips USING hnsw (embedding vector_ip_ops)')

// The vectors have unit length, so the inner product ranks as the cosine does. <#> is its negative: ascending is best first.
const { embedding } = await embedder.embedText(text)
const { rows } = await client.query(
  'SELECT uri, -(embedding <#> $1::vector) AS score FROM clips ORDER BY embedding <#> $1::vector LIMIT 5',
  [`[${embedding.join(',')}]`],
)
for (const { uri, score } of rows) console.log(score.toFixed(3), uri)

await client.end()
await embedder.dispose()
