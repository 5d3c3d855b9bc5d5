/** Reads the counters of open devices. */
import type { DecoderStats, EmbedderStats } from '../info-types.ts'
import type { OpenDevice } from './open-devices.ts'

export type DeviceCounters = Pick<EmbedderStats, 'gpus' | 'decoders'>

/** The counters of the GPUs, and the sums of those of the decoder processes. */
export function countersOf(devices: readonly OpenDevice[]): DeviceCounters {
  const gpus = devices.flatMap(({ gpu }) => (gpu ? [{ device: gpu.info.device, ...gpu.stats() }] : []))
  const pools = devices.flatMap(({ decoders }) => (decoders ? [decoders.stats()] : []))
  return pools.length === 0 ? { gpus } : { gpus, decoders: pools.reduce(sum) }
}

function sum(left: DecoderStats, right: DecoderStats): DecoderStats {
  const names = Object.keys(left) as (keyof DecoderStats)[]
  return Object.fromEntries(names.map((name) => [name, left[name] + right[name]])) as unknown as DecoderStats
}
