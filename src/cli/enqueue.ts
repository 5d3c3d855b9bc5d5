/** `cosmos-embed index --queue`: puts the items into a queue instead of embedding them. */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { FailureFile } from '../bulk/failures.ts'
import { withFileErrors } from '../bulk/files.ts'
import { checkShared } from '../bulk/shared-destination.ts'
import type { OpenedSources } from '../bulk/sources.ts'
import type { EnqueueOptions, EnqueueTally } from '../queue/index.ts'
import type { Io } from './command.ts'

/** Exit code if some items failed. */
export const SOME_FAILED = 3

const LINE_EVERY_MS = 10_000

/** @returns the exit code. */
export async function enqueue(
  { sources }: OpenedSources,
  options: EnqueueOptions,
  failures: string,
  io: Io,
): Promise<number> {
  checkShared(options.out)
  const { enqueueIndex } = await import('../queue/index.ts')
  await withFileErrors(failures, () => mkdir(path.dirname(failures), { recursive: true }))
  const failed = await FailureFile.open(failures)
  let now: EnqueueTally | undefined
  const timer = setInterval(() => now && io.stderr.write(`${lineOf(now)}\n`), LINE_EVERY_MS)
  try {
    const tally = await enqueueIndex(sources, {
      ...options,
      onFailure: (key, failure) => failed.add(key, failure),
      onProgress: (tally) => {
        now = tally
      },
    })
    io.stderr.write(`${lineOf(tally)}\n`)
    if (tally.failed > 0) io.stderr.write(`${failures} lists the rows that describe no item\n`)
    return tally.failed > 0 ? SOME_FAILED : 0
  } finally {
    clearInterval(timer)
    await failed.close()
  }
}

function lineOf({ total, enqueued, jobs, skipped, repeated, failed }: EnqueueTally): string {
  return [
    `${enqueued + skipped + repeated + failed}/${total}`,
    `${enqueued} put into ${jobs} jobs`,
    ...(skipped > 0 ? [`${skipped} already in the index or in the queue`] : []),
    ...(repeated > 0 ? [`${repeated} repeated`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ].join(', ')
}
