/** Opens the processes that decode untrusted media, and tells which walls are missing around them. */
import process from 'node:process'
import type { Binding, NativeDecoderPool, NativeWalls } from '#binding'
import { runNative } from '../base/native-job.ts'
import { LibraryError } from '../errors.ts'
import type { Isolation, ResolvedOptions } from '../options.ts'

const purposes: Record<keyof NativeWalls, string> = {
  systemCalls: 'the filter of system calls (seccomp)',
  network: 'a network of its own (unprivileged user namespaces)',
  files: 'an empty file system (unprivileged user namespaces and mounts)',
  memory: 'limits on memory and descriptors',
}

/** The walls that this machine does not allow, in words. */
export function missingWalls(walls: NativeWalls): string[] {
  return Object.entries(purposes).flatMap(([wall, purpose]) =>
    walls[wall as keyof NativeWalls] ? [] : [purpose],
  )
}

/** Whether media is decoded in processes of its own. */
export function isIsolated(isolation: Isolation, gpu: boolean): boolean {
  return isolation === 'auto' ? !gpu : isolation !== 'none'
}

export interface DecoderProcessesOptions {
  binding: Binding
  decode: ResolvedOptions['decode']
  /** Videos decoded at one time. */
  concurrency: number
  /** Whether they stand beside a GPU. */
  gpu: boolean
  signal: AbortSignal
}

/** Resolves to undefined without isolation. */
export async function openDecoderProcesses({
  binding,
  decode,
  concurrency,
  gpu,
  signal,
}: DecoderProcessesOptions): Promise<NativeDecoderPool | undefined> {
  const { isolation, limits } = decode
  if (!isIsolated(isolation, gpu)) return undefined
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
