import { OverloadedError, RequestTooLargeError } from '../errors.ts'
import type { Admission, Cost, Lease } from '../schedule/admission.ts'
import type { AdmissionContext } from './item-context.ts'

/**
 * Admits work of a call: waits for room, or refuses as the call's `whenFull` says. Rejects with RequestTooLargeError,
 * OverloadedError or the reason of the call's signal. `retryAfter` returns seconds for OverloadedError.
 */
export async function admit(
  admission: Admission,
  cost: Cost,
  { call, priority, whenFull = 'wait' }: AdmissionContext,
  retryAfter: () => number,
): Promise<Lease> {
  const { items, bytes, limits } = admission
  if (!admission.couldFit(cost)) {
    throw new RequestTooLargeError(
      `the request holds ${cost.bytes} bytes of media, more than maxBytesInFlight ${limits.bytes}: send files or URLs`,
      { details: { found: cost.bytes, limit: limits.bytes } },
    )
  }
  if (whenFull === 'wait') return admission.acquire(cost, priority, call.signal)
  const lease = admission.tryAcquire(cost, priority)
  if (lease) return lease
  throw new OverloadedError(
    `${items} of ${limits.items} items and ${bytes} of ${limits.bytes} bytes are in flight: ` +
      `no room for ${cost.items} items of ${cost.bytes} bytes now`,
    {
      retryAfter: retryAfter(),
      details: { items, bytes, maxItemsInFlight: limits.items, maxBytesInFlight: limits.bytes },
    },
  )
}
