import type { Progress, ProgressStage } from '../types.ts'
import type { Call } from './calls.ts'

export type Passed = (stage: ProgressStage) => void

/** Reports what the items of a call have passed. What the caller's function throws is what the call rejects with. */
export function progressOf(
  call: Call,
  onProgress: ((progress: Progress) => void) | undefined,
  total: () => number,
): (index: number, key: unknown) => Passed {
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
