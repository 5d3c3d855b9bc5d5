/** One build at a time in a folder. */

import { setTimeout as sleep } from 'node:timers/promises'
import { acquireProcessLock } from '../base/process-lock.ts'

const everyMs = 500

/**
 * Waits until no other process of this machine builds in `folder`, whose path must be without symbolic links. Resolves
 * to the function that lets the next one in. Rejects with `signal.reason`.
 *
 * The lock is a name that the kernel keeps for as long as we live, so a killed build leaves none behind. Processes that
 * do not share a network namespace do not see it: they build twice, and the later one's engine stays.
 */
export async function lockFolder(
  folder: string,
  { onWait, signal }: { onWait: () => void; signal: AbortSignal },
): Promise<() => Promise<void>> {
  for (let waits = 0; ; waits++) {
    signal.throwIfAborted()
    const letGo = await acquireProcessLock('build', folder)
    if (letGo) return letGo
    if (waits === 0) onWait()
    // The caller's reason, not the timer's.
    await sleep(everyMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}
