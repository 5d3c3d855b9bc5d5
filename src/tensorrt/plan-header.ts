/** Reads the header that TensorRT writes at the start of a plan. */
import { open } from 'node:fs/promises'

const tag = 0x74727466
const headerBytes = 28

/** The TensorRT version of a plan, e.g. "10.16.1.11", one byte per number; undefined if the header has an unknown form. */
export async function planVersion(path: string): Promise<string | undefined> {
  await using file = await open(path)
  const { bytesRead, buffer } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0)
  if (bytesRead < headerBytes || buffer.readUInt32LE(0) !== tag || buffer.readUInt32LE(4) !== 0)
    return undefined
  return [...buffer.subarray(24)].join('.')
}

/** Whether `library` is the version of a plan, which holds only the low byte of each number; see {@link planVersion}. */
export function isVersionOf(plan: string, library: string): boolean {
  const bytes = library.split('.').map((number) => Number(number) & 255)
  return plan === bytes.join('.')
}
