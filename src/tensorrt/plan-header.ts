/** What TensorRT itself writes at the start of a plan. */
import { open } from 'node:fs/promises'

const tag = 0x74727466
const headerBytes = 28

/**
 * Four bytes for TensorRT's numbers, e.g. "10.16.1.11"; undefined when the header is of a form that we do not know.
 */
export async function planVersion(path: string): Promise<string | undefined> {
  await using file = await open(path)
  const { bytesRead, buffer } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0)
  if (bytesRead < headerBytes || buffer.readUInt32LE(0) !== tag || buffer.readUInt32LE(4) !== 0)
    return undefined
  return [...buffer.subarray(24)].join('.')
}

/** Whether a version with its whole numbers is the one of {@link planVersion}, which has the last byte of each. */
export function isVersionOf(plan: string, library: string): boolean {
  const bytes = library.split('.').map((number) => Number(number) & 255)
  return plan === bytes.join('.')
}
