/** Reports progress to the caller. */
import type { Progress, ProgressStage } from '../types.ts'
import type { Call } from './calls.ts'

/** Called when an item has finished a stage. */
export type StageListener = (stage: ProgressStage) => void

/**
 * Returns a function that creates the stage listener of each item. If `onProgress` throws, the call rejects with that error.
 */
export function progressReporter(
  call: Call,
  onProgress: ((progress: Progress) => void) | undefined,
  total: () => number,
): (index: number, key: unknown) => StageListener {
  const done = { download: 0, decode: 0, encode: 0 }
  return (index, key) => (stage) => {
    done[stage]++
    try {
      onProgress?.({ stage, done: done[stage], total: total(), index, key })
    } catch (failure) {
      call.fail(failure)
    }
  }
}
