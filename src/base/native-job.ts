/** Runs jobs of the native addon as promises that an AbortSignal cancels. */
import type { NativeJob } from '#binding'
import { TimeoutError } from '../errors.ts'
import { onAbort } from './abort.ts'
import { translateNativeFailure } from './native-failure.ts'

/**
 * How long a decoder may take to stop. It checks for cancellation between two pictures and, if its codec allows, within one.
 */
export const stopGraceMs = 5_000

/**
 * Starts a native job and waits until it has ended, also when `signal` cancels it, so that nothing of it runs afterwards.
 * Rejects with `signal.reason` or an error of this package.
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
  /** The job's time limit. Undefined when only the decoder can measure it, because its clock pauses while it waits. */
  maxSeconds?: number | undefined
  /** Called when the job has ended, which may be after the promise has settled. */
  onEnd?: (() => void) | undefined
}

/**
 * Like {@link runNative}, for a job that decodes. Nothing can stop a decoder within a picture, so the promise settles at the
 * latest `stopGraceMs` after the job should have stopped. The job then finishes its picture on its own copy of the bytes and
 * does not keep the process alive.
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
    const abandonAfter = (milliseconds: number, reason: () => unknown) => {
      const abandon = () => {
        settle()
        job?.unref()
        reject(reason())
      }
      timers.push(setTimeout(abandon, milliseconds))
    }
    if (maxSeconds !== undefined)
      abandonAfter(1000 * maxSeconds + stopGraceMs, () => timeLimitError(maxSeconds))
    const forget = onAbort(signal, () => abandonAfter(stopGraceMs, () => signal.reason))
    running.then(resolve, reject).finally(settle)
  })
}

/** The message that the decoder itself uses for this limit. */
function timeLimitError(maxSeconds: number): TimeoutError {
  return new TimeoutError(`decoding took longer than the limit maxWallSeconds of ${maxSeconds} s`, {
    details: { limit: maxSeconds },
  })
}
