/** Opens the processes that decode untrusted media, and tells which walls are missing around them. */
import process from 'node:process'
import type { Binding, NativeDecoderPool, NativeWalls } from '#binding'
import { runNative } from '../base/native-job.ts'
import { LibraryError } from '../errors.ts'
import type { ResolvedOptions } from '../options.ts'

const purposes: Record<keyof NativeWalls, string> = {
  systemCalls: 'the filter of system calls (seccomp)',
  network: 'a network of its own (unprivileged user namespaces)',
  files: 'an empty file system (unprivileged user namespaces and mounts)',
  memory: 'limits on memory and descriptors',
}

/** What reads media in this process all the same when the processes hand packets to NVDEC. See docs/isolation.md. */
export const OUTSIDE_ON_NVDEC = ["NVIDIA's video parser", "NVIDIA's driver"] as const

/** The walls that this machine does not allow, in words. */
export function missingWalls(walls: NativeWalls): string[] {
  return Object.entries(purposes).flatMap(([wall, purpose]) =>
    walls[wall as keyof NativeWalls] ? [] : [purpose],
  )
}

export interface DecoderProcessesOptions {
  binding: Binding
  decode: ResolvedOptions['decode']
  /** Videos decoded at one time. */
  concurrency: number
  signal: AbortSignal
}

/** Resolves to undefined without isolation. */
export async function openDecoderProcesses({
  binding,
  decode,
  concurrency,
  signal,
}: DecoderProcessesOptions): Promise<NativeDecoderPool | undefined> {
  const { isolation, limits } = decode
  if (isolation === 'none') return undefined
  const pool = await runNative(
    () => binding.openDecoderPool({ maxBytes: limits.maxBytes, idle: concurrency }),
    signal,
  )
  const missing = missingWalls(pool.walls)
  if (missing.length === 0) return pool
  const text = `the processes that decode media lack ${missing.join(', ')} on this machine`
  if (isolation === 'required') {
    pool.close()
    throw new LibraryError(`${text}, and decode.isolation is "required"`)
  }
  process.emitWarning(`${text}; docs/isolation.md says what that means`, {
    type: 'CosmosEmbedWarning',
    code: 'COSMOS_EMBED_ISOLATION',
  })
  return pool
}
