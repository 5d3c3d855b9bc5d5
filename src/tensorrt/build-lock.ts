/** Allows one engine build at a time in a folder. */

import { setTimeout as sleep } from 'node:timers/promises'
import { acquireProcessLock } from '../base/process-lock.ts'

const everyMs = 500

/**
 * Waits until no other process of this machine builds in `folder`, whose path must contain no symbolic links. Resolves
 * with the function that unlocks it. Rejects with `signal.reason`.
 *
 * The kernel releases the lock when the process ends, so a killed build leaves none behind. Processes in different network
 * namespaces do not see each other's lock: both build, and the later plan replaces the other.
 */
export async function lockFolder(
  folder: string,
  { onWait, signal }: { onWait: () => void; signal: AbortSignal },
): Promise<() => Promise<void>> {
  for (let waits = 0; ; waits++) {
    signal.throwIfAborted()
    const unlock = await acquireProcessLock('build', folder)
    if (unlock) return unlock
    if (waits === 0) onWait()
    // Rejects with the caller's reason instead of the timer's.
    await sleep(everyMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}
