import type { NativeJob } from '#binding'
import { TimeoutError } from '../errors.ts'
import { onAbort } from './abort.ts'
import { translateNativeFailure } from './native-failure.ts'

/**
 * How long a decoder has to hear that it is to stop. It hears between two pictures, and inside of one where its codec
 * lets it.
 */
export const stopGraceMs = 5_000

/**
 * Starts a native job and waits for its end, also when `signal` cancels it: afterwards nothing of it runs any more.
 * Rejects with `signal.reason`, or with an error class of this package.
 */
export async function runNative<T>(start: () => NativeJob<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let forget = () => {}
  try {
    const job = start()
    forget = onAbort(signal, () => job.cancel())
    return await job.promise
  } catch (failure) {
    throw translateNativeFailure(failure, { signal })
  } finally {
    forget()
  }
}

export interface DecodeJobOptions {
  /** The job's own limit. Nothing: its clock stands still at times, and only the decoder knows. */
  maxSeconds?: number | undefined
  /** Called when nothing of it runs any more, which may be after the promise has settled. */
  onEnd?: (() => void) | undefined
}

/**
 * The same for a job that decodes, but whoever waits is let go `stopGraceMs` after it should have stopped: nothing ends
 * a decoder that is inside of a picture. It goes on with bytes that are its own until it is through with the picture,
 * and does not keep the process from ending.
 */
export function runDecode<T>(
  start: () => NativeJob<T>,
  signal: AbortSignal,
  { maxSeconds, onEnd = () => {} }: DecodeJobOptions = {},
): Promise<T> {
  let job: NativeJob<T> | undefined
  const running = runNative(() => {
    job = start()
    return job
  }, signal)
  running.then(onEnd, onEnd)
  return new Promise((resolve, reject) => {
    const timers: NodeJS.Timeout[] = []
    const settle = () => {
      forget()
      for (const timer of timers) clearTimeout(timer)
    }
    const letGoAfter = (milliseconds: number, reason: () => unknown) => {
      const letGo = () => {
        settle()
        job?.unref()
        reject(reason())
      }
      timers.push(setTimeout(letGo, milliseconds))
    }
    if (maxSeconds !== undefined) letGoAfter(1000 * maxSeconds + stopGraceMs, () => tooLong(maxSeconds))
    const forget = onAbort(signal, () => letGoAfter(stopGraceMs, () => signal.reason))
    running.then(resolve, reject).finally(settle)
  })
}

/** In the words of the decoder, which could not say it. */
function tooLong(maxSeconds: number): TimeoutError {
  return new TimeoutError(`decoding took longer than the limit maxWallSeconds of ${maxSeconds} s`, {
    details: { limit: maxSeconds },
  })
}
