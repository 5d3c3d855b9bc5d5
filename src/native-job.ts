import type { NativeJob } from '#binding'
import { onAbort } from './abort.ts'
import { fromNative } from './native-failure.ts'

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
    throw fromNative(failure, { signal })
  } finally {
    forget()
  }
}
