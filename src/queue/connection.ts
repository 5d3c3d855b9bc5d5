/** Opens the queue in Redis or Valkey. */
import type { Queue, RedisOptions } from 'bullmq'
import { importPeer } from '../bulk/files.ts'
import { CosmosEmbedError, InvalidArgumentError, SourceError } from '../errors.ts'
import type { JobData } from './job.ts'

/** Which queue, and where. */
export interface QueueAddress {
  /** `redis://…`, or `rediss://…` for TLS. May contain a user, a password and the number of the database. */
  url: string
  /** Name of the queue, without `:`. Default `cosmos-embed`. */
  name?: string | undefined
}

/** The default of {@link QueueAddress.name}. */
export const DEFAULT_QUEUE = 'cosmos-embed'

/** How long the first connection may take. Later ones are retried for as long as the process runs. */
const CONNECT_MS = 10_000

type BullMq = typeof import('bullmq')

/** Loads BullMQ and the client of Redis that it uses. Rejects with InvalidArgumentError if one is not installed. */
export async function loadBullMq(): Promise<BullMq> {
  const bullmq = await importPeer('bullmq', 'a queue', () => import('bullmq'))
  // BullMQ loads it by itself, but with an error that is harder to understand.
  await importPeer('ioredis', 'a queue', () => import('ioredis'))
  return bullmq
}

/** Options for BullMQ. Throws InvalidArgumentError for a URL of another kind, without repeating it: it may hold a password. */
export function connectionOptions(url: string): RedisOptions {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol !== 'redis:' && parsed?.protocol !== 'rediss:') {
    throw new InvalidArgumentError('the address of the queue must be redis://HOST:PORT or rediss://HOST:PORT')
  }
  return { url, connectTimeout: CONNECT_MS }
}

/** Checks the name of a queue. Throws InvalidArgumentError. */
export function queueName(name: string = DEFAULT_QUEUE): string {
  if (name !== '' && !name.includes(':')) return name
  throw new InvalidArgumentError(`the name of the queue must not be empty or contain ":", found "${name}"`)
}

/** The address of the queue for messages, without a password. */
export function placeOf({ url, name }: QueueAddress): string {
  return `queue ${queueName(name)} at ${new URL(url).host}`
}

/** Opens the queue. Rejects with SourceError if the server does not answer within ten seconds. */
export async function connectQueue(address: QueueAddress): Promise<Queue<JobData>> {
  const { Queue } = await loadBullMq()
  const connection = connectionOptions(address.url)
  const name = queueName(address.name)
  await withQueueErrors(address, () => probe(address.url))
  const queue = new Queue<JobData>(name, { connection })
  // Failures of a command reject it; a lost connection is opened again.
  queue.on('error', () => {})
  await withQueueErrors(address, () => queue.waitUntilReady())
  return queue
}

/** Connects once, because BullMQ would try again without an end and without a word. */
async function probe(url: string): Promise<void> {
  const { Redis } = await import('ioredis')
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    commandTimeout: CONNECT_MS,
    retryStrategy: () => null,
  })
  let reason: Error | undefined
  client.on('error', (error) => {
    reason = error
  })
  try {
    await client.connect()
    await client.ping()
  } catch (failure) {
    throw reason ?? failure
  } finally {
    client.disconnect()
  }
}

/** Runs `work`; failures of Redis become SourceError with the queue's address. */
export async function withQueueErrors<T>(address: QueueAddress, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (failure) {
    throw queueError(address, failure)
  }
}

function queueError(address: QueueAddress, failure: unknown): Error {
  if (failure instanceof CosmosEmbedError) return failure
  const { message, name } = failure as Error
  return new SourceError(`${placeOf(address)}: ${message || name}`, { cause: failure })
}
