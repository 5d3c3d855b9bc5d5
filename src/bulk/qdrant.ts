/** Access to collections of Qdrant, for the sink and the search. */
import { createHash } from 'node:crypto'
import type { QdrantClient } from '@qdrant/js-client-rest'
import { CosmosEmbedError, InvalidArgumentError, SourceError } from '../errors.ts'
import { importPeer } from './files.ts'
import type { IndexDescription } from './sink.ts'

/**
 * A client for `qdrant://HOST[:PORT]` (http, port 6333) or `qdrants://…` (https). The API key is that in the environment
 * variable QDRANT_API_KEY, because other processes can see a command line.
 */
export async function qdrantClient(dest: string): Promise<QdrantClient> {
  const { QdrantClient } = await importPeer(
    '@qdrant/js-client-rest',
    'Qdrant',
    () => import('@qdrant/js-client-rest'),
  )
  const url = URL.canParse(dest) ? new URL(dest) : undefined
  if (!url?.hostname) throw new InvalidArgumentError('expected qdrant://HOST:PORT or qdrants://HOST:PORT')
  if (url.username || url.password || url.search) {
    throw new InvalidArgumentError(
      'a Qdrant URL has no user, password or query: put the API key into the environment variable QDRANT_API_KEY',
    )
  }
  const apiKey = process.env.QDRANT_API_KEY
  return new QdrantClient({
    host: url.hostname,
    port: url.port === '' ? 6333 : Number(url.port),
    https: url.protocol === 'qdrants:',
    ...(url.pathname.length > 1 && { prefix: url.pathname }),
    ...(apiKey && { apiKey }),
    // The check writes to the console; the sink reports a server that is too old.
    checkCompatibility: false,
  })
}

/** The description of a collection's vectors; undefined if it does not exist. Rejects if the collection is not an index. */
export async function readCollection(
  client: QdrantClient,
  name: string,
): Promise<IndexDescription | undefined> {
  const { exists } = await client.collectionExists(name)
  if (!exists) return undefined
  const { config } = await client.getCollection(name)
  const description = (config.metadata as { cosmos_embed?: IndexDescription } | null | undefined)
    ?.cosmos_embed
  if (description) return description
  throw new InvalidArgumentError(
    `the Qdrant collection ${name} was not made by cosmos-embed index: choose another`,
  )
}

/** The description of a collection's vectors; undefined if it does not exist. */
export async function describeCollection(dest: string, name: string): Promise<IndexDescription | undefined> {
  const client = await qdrantClient(dest)
  return withCollectionErrors(name, () => readCollection(client, name))
}

export interface CollectionStatus {
  description: IndexDescription
  rows: number
}

/** Status of a collection; undefined if it does not exist. */
export async function collectionStatus(dest: string, name: string): Promise<CollectionStatus | undefined> {
  const client = await qdrantClient(dest)
  return withCollectionErrors(name, async () => {
    const description = await readCollection(client, name)
    if (!description) return undefined
    const { count } = await client.count(name, { exact: true })
    return { description, rows: count }
  })
}

/** Namespace of the points' ids. */
const NAMESPACE = Buffer.from('c610767b5a4c497fa0794ceb9029cd65', 'hex')

/** Id of a row's point: the version 5 UUID of the row's id, because Qdrant accepts only UUIDs and numbers. */
export function pointId(rowId: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(rowId).digest().subarray(0, 16)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x50
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** Runs `work`; errors of the server and of the connection become SourceError with the collection's name. */
export async function withCollectionErrors<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (failure) {
    if (failure instanceof CosmosEmbedError) throw failure
    throw new SourceError(`the Qdrant collection ${name}: ${reasonOf(failure as QdrantFailure)}`, {
      cause: failure,
    })
  }
}

/** What the client throws: its own errors, or those of `fetch`, whose message says less than their cause. */
interface QdrantFailure extends Error {
  data?: { status?: { error?: string } }
  cause?: { message?: string; code?: string }
}

function reasonOf({ message, data, cause }: QdrantFailure): string {
  const detail = data?.status?.error ?? cause?.message ?? cause?.code
  return detail ? `${message}: ${detail}` : message
}
