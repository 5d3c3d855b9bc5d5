/** The command `queue`: shows a queue, puts its dead letters back, and empties it. */
import { type IndexQueue, openQueue } from '../queue/index.ts'
import { type Command, type Io, parse, UsageError } from './command.ts'
import { queueAddress } from './worker.ts'

const usage = `Usage: cosmos-embed queue status --queue redis://HOST:PORT [--dead-letters]
       cosmos-embed queue retry  --queue redis://HOST:PORT
       cosmos-embed queue drain  --queue redis://HOST:PORT [--dead-letters]

Many machines build one index through a queue in Redis or Valkey:

  cosmos-embed index /shared/clips --out /shared/index --queue redis://queue:6379    puts items into the queue, 256 per job
  cosmos-embed worker --queue redis://queue:6379                                     on every machine

status  prints how many jobs wait, run and are done, and the dead letters: items that still failed in the last try of their job
retry   puts the jobs with dead letters back into the queue
drain   removes the jobs that no worker has

  --queue URL            redis://HOST:PORT, or rediss:// for TLS; also COSMOS_EMBED_QUEUE (required)
  --queue-name NAME      name of the queue (default: cosmos-embed)
  --dead-letters         status: print every dead letter as a line of JSON instead; drain: remove them too (default: off)

Exit code: 0; status: 3 if there are dead letters.
`

const options = {
  queue: { type: 'string' },
  'queue-name': { type: 'string' },
  'dead-letters': { type: 'boolean' },
} as const

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, options)
  const [action, ...rest] = positionals
  if (rest.length > 0 || !['status', 'retry', 'drain'].includes(action ?? '')) {
    throw new UsageError('expected one of: queue status, queue retry, queue drain')
  }
  const deadLetters = values['dead-letters'] ?? false
  await using queue = await openQueue(queueAddress(values))
  if (action === 'status') return await (deadLetters ? printDeadLetters(queue, io) : printStatus(queue, io))
  if (action === 'retry') {
    if (deadLetters) throw new UsageError('queue retry has no option --dead-letters: it retries all of them')
    io.stdout.write(`${await queue.retry()} jobs are in the queue again\n`)
  } else io.stdout.write(`${await queue.drain({ deadLetters })} jobs removed\n`)
  return 0
}

async function printStatus(queue: IndexQueue, io: Io): Promise<number> {
  const status = await queue.status()
  const rows: [string, string | number][] = [
    ['jobs that wait', status.waiting],
    ['jobs in progress', status.active],
    ['jobs before a retry', status.delayed],
    ['jobs completed', status.completed],
    ['workers', status.workers ?? 'unknown'],
    ['jobs with dead letters', status.deadJobs],
    ['dead letters', status.deadLetters],
  ]
  io.stdout.write(rows.map(([name, value]) => `${name.padEnd(24)} ${value}\n`).join(''))
  for (const [code, count] of status.deadCodes) {
    io.stdout.write(`  ${(code ?? 'job not finished').padEnd(22)} ${count}\n`)
  }
  return status.deadLetters > 0 ? 3 : 0
}

async function printDeadLetters(queue: IndexQueue, io: Io): Promise<number> {
  let found = 0
  for await (const letter of queue.deadLetters()) {
    found = 3
    io.stdout.write(`${JSON.stringify(letter)}\n`)
  }
  return found
}

export const command: Command = {
  name: 'queue',
  usage,
  run,
}
