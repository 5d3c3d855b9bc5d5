/** The command `search`: finds videos by a text, in a folder or in an index. */
import { stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { DEFAULT_TABLE, kindOf } from '../bulk/destination.ts'
import { fileError } from '../bulk/files.ts'
import { describeIndex, openIndex } from '../bulk/search/open-index.ts'
import type { IndexHit } from '../bulk/search/vector-index.ts'
import type { IndexDescription } from '../bulk/sink.ts'
import { createEmbedder } from '../embedder.ts'
import { InvalidArgumentError } from '../errors.ts'
import {
  type Command,
  embedderOptions,
  frameRuleOption,
  frameRuleUsage,
  type Io,
  integerOption,
  modelOptions,
  modelUsage,
  numberOption,
  parse,
  UsageError,
} from './command.ts'
import { type Hit, indexFolder, rank } from './search-folder.ts'
import { type PageHit, searchPage, withShownRange } from './search-page.ts'
import { table } from './table.ts'

const usage = `Usage: cosmos-embed search FOLDER "text" [OPTIONS]
       cosmos-embed search DEST "text" [OPTIONS]

Ranks videos by their similarity to the text.

FOLDER: every video below it. Links are followed. Each video is embedded once: vectors are cached by content in
~/.cache/cosmos-embed (or XDG_CACHE_HOME). Files that cannot be embedded are listed, the others are still ranked, and the
exit code is 1.
DEST: an index that "cosmos-embed index" has written, named as its --out. The text must be embedded with the model of the
index: name the same --model. A folder of Parquet parts or a .jsonl file is searched exactly, in memory.

  --top K                number of results (default: 10)
  --json                 print the ranking as JSON on stdout (default: as a table)
  --page FILE            also write an HTML page with a picture of each video that can be read
  --shots                rank the shots of a FOLDER's videos, and name their seconds (default: whole videos)
  --table NAME           table in PostgreSQL or LanceDB, collection in Qdrant (default: cosmos_embed)
  --url-http ORIGIN      for the pictures, allow plain http to this origin; repeatable (default: https only)
  --url-private ORIGIN   for the pictures, allow this origin to have a private address; repeatable (default: public only)
${frameRuleUsage}
  --frame-tolerance S    let frames move by up to S seconds to ones that are cheaper to decode (default: 0)
${modelUsage}
An index has its own frame rule, tolerance, and windows or shots.
`

const options = {
  ...modelOptions,
  top: { type: 'string' },
  json: { type: 'boolean' },
  page: { type: 'string' },
  shots: { type: 'boolean' },
  table: { type: 'string' },
  'url-http': { type: 'string', multiple: true },
  'url-private': { type: 'string', multiple: true },
  'frame-rule': { type: 'string' },
  'frame-tolerance': { type: 'string' },
} as const

type Values = ReturnType<typeof parse<typeof options>>['values']

interface Query {
  text: string
  top: number
  values: Values
}

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, options)
  const [where, text] = positionals
  if (where === undefined || text === undefined || positionals.length !== 2) {
    throw new UsageError('expected FOLDER or DEST, and one "text" in quotes')
  }
  const query = { text, top: integerOption('top', values.top, 1) ?? 10, values }
  const isFile = kindOf(where) === 'parquet'
  const found = isFile ? await stat(where).catch(() => undefined) : undefined
  if (isFile && !found?.isDirectory()) throw new UsageError(`"${where}" is not a folder`)
  const description = await describeIndex(where, { table: values.table })
  if (description) return searchIndex(where, description, query, io)
  if (!isFile)
    throw new UsageError(`${nameOf(where, values.table)} is not an index that cosmos-embed has written`)
  return searchFolder(where, query, io)
}

async function searchFolder(folder: string, { text, top, values }: Query, io: Io): Promise<number> {
  if (values.table !== undefined) throw new UsageError(`--table: "${folder}" is a folder of videos`)
  const frameTolerance = numberOption('frame-tolerance', values['frame-tolerance'], 0) ?? 0
  const frameRule = frameRuleOption(values['frame-rule'])
  await using embedder = await createEmbedder({
    ...embedderOptions(values, io),
    frameRule,
    signal: io.signal,
  })
  const { shots = false } = values
  const { indexed, failed, fromCache } = await indexFolder(embedder, folder, io, { frameTolerance, shots })
  for (const { file, message } of failed) io.stderr.write(`skipped ${file}: ${message}\n`)
  if (indexed.length === 0) io.stderr.write(`no video below ${folder} could be embedded\n`)
  if (indexed.length === 0 && !values.json) return 1

  const query = await embedder.embedText(text, { signal: io.signal })
  const ranked = rank(query.embedding, indexed, shots)
  const hits = ranked.slice(0, top)
  const nameOf = ({ file, start, end }: Hit) => withShownRange(path.relative(folder, file), start, end)
  const among = shots ? `${ranked.length} shots of ${indexed.length} videos` : `${indexed.length} videos`
  if (values.json) {
    const model = embedder.info().model.id
    io.stdout.write(`${JSON.stringify({ query: text, model, hits, failed }, null, 2)}\n`)
  } else {
    const rows = hits.map((hit, index) => [index + 1, hit.score.toFixed(3), nameOf(hit)])
    io.stdout.write(table([['#', 'score', `"${text}" among ${among} (${fromCache} cached)`], ...rows]))
  }
  const pageHits = hits.map((hit) => {
    const { file, start = null, end = null, score } = hit
    return { name: nameOf(hit), uri: path.resolve(file), start, end, score }
  })
  await writePage(pageHits, among, { text, top, values }, io)
  return failed.length === 0 && indexed.length > 0 ? 0 : 1
}

async function searchIndex(
  dest: string,
  description: IndexDescription,
  query: Query,
  io: Io,
): Promise<number> {
  const { text, top, values } = query
  for (const name of ['frame-rule', 'frame-tolerance', 'shots'] as const) {
    if (values[name] !== undefined) throw new UsageError(`--${name}: an index has its own`)
  }
  await using embedder = await createEmbedder({
    ...embedderOptions(values, io),
    frameRule: description.frameRule,
    signal: io.signal,
  })
  const { model } = embedder.info()
  if (model.fingerprint !== description.model.fingerprint) {
    throw new InvalidArgumentError(
      `${nameOf(dest, values.table)} has vectors of ${description.model.id} with the fingerprint ` +
        `${description.model.fingerprint}, but this model is ${model.id} with ${model.fingerprint}: name the folder of the ` +
        "index's model with --model",
    )
  }
  const { embedding } = await embedder.embedText(text, { signal: io.signal })
  await using index = await openIndex(dest, { table: values.table, model, signal: io.signal })
  const hits = await index.search(embedding, { top, signal: io.signal })
  if (values.json) {
    const { rows } = index
    io.stdout.write(`${JSON.stringify({ query: text, model: model.id, rows, hits }, null, 2)}\n`)
  } else {
    const rows = hits.map((hit, place) => [place + 1, hit.score.toFixed(3), nameOfHit(hit)])
    io.stdout.write(table([['#', 'score', `"${text}" among ${index.rows} vectors`], ...rows]))
  }
  const pageHits = hits.map((hit) => ({ ...hit, name: hit.id }))
  await writePage(pageHits, `${index.rows} vectors`, query, io)
  return 0
}

async function writePage(
  hits: readonly PageHit[],
  among: string,
  { text, values }: Query,
  io: Io,
): Promise<void> {
  const { page } = values
  if (page === undefined) return
  const html = await searchPage(hits, {
    title: `“${text}” among ${among}`,
    urls: { http: values['url-http'], private: values['url-private'] },
    onProblem: (uri, message) => io.stderr.write(`no picture of ${uri}: ${message}\n`),
    signal: io.signal,
  })
  await writeFile(page, html).catch((failure) => {
    throw fileError(page, failure)
  })
  io.stderr.write(`wrote ${page}\n`)
}

/** The id, and the address if the id does not say it. */
function nameOfHit({ id, uri }: IndexHit): string {
  return uri === null || id.startsWith(uri) ? id : `${id}  ${uri}`
}

/** Name of an index for messages, without the address of a server. */
function nameOf(dest: string, name = DEFAULT_TABLE): string {
  const kind = kindOf(dest)
  if (kind === 'parquet' || kind === 'jsonl') return `"${dest}"`
  return `the ${kind === 'qdrant' ? 'collection' : 'table'} ${name}`
}

export const command: Command = {
  name: 'search',
  usage,
  run,
}
