/** Waiting on an AbortSignal without leaking listeners. */

const subscribers = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls `callback` once when `signal` aborts, or immediately if it already has. Returns a function that cancels this.
 *
 * All callbacks of a signal share one listener, so that a thousand items can wait on one signal without Node's warning about
 * leaked listeners. The listener is removed with the last callback.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) {
    callback()
    return () => {}
  }
  const callbacks = subscribers.get(signal) ?? subscribe(signal)
  // A wrapper, because the same function may be registered twice.
  const entry = () => callback()
  callbacks.add(entry)
  return () => {
    callbacks.delete(entry)
    if (callbacks.size === 0 && subscribers.get(signal) === callbacks) unsubscribe(signal)
  }
}

const listener = (event: Event) => {
  const signal = event.target as AbortSignal
  const callbacks = subscribers.get(signal) ?? []
  unsubscribe(signal)
  for (const callback of callbacks) callback()
}

function subscribe(signal: AbortSignal): Set<() => void> {
  const callbacks = new Set<() => void>()
  subscribers.set(signal, callbacks)
  signal.addEventListener('abort', listener)
  return callbacks
}

function unsubscribe(signal: AbortSignal) {
  subscribers.delete(signal)
  signal.removeEventListener('abort', listener)
}

/** Settles like `promise`, or rejects with `signal.reason` as soon as the signal aborts. Does not stop the work behind it. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const forget = onAbort(signal, () => reject(signal.reason))
    promise.then(resolve, reject).finally(forget)
  })
}
