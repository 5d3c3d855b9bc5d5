/** Writes files atomically and durably: they survive a crash of the process and of the machine. */
import { randomUUID } from 'node:crypto'
import { link, open, rename, unlink } from 'node:fs/promises'
import path from 'node:path'

/** Writes or replaces a file atomically: after a failure it is as it was before. */
export async function writeAtomically(file: string, content: string | Uint8Array): Promise<void> {
  const partial = `${file}.partial`
  try {
    await writeSynced(partial, content)
    await rename(partial, file)
  } catch (failure) {
    // Frees the space of an incomplete file, in case the disk is full.
    await unlink(partial).catch(() => {})
    throw failure
  }
  await syncFolder(path.dirname(file))
}

async function writeSynced(file: string, content: string | Uint8Array): Promise<void> {
  const handle = await open(file, 'w')
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes created, renamed and removed names of a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Creates a file atomically. Resolves to false, and leaves the file as it is, if it exists. */
export async function writeIfAbsent(file: string, content: string | Uint8Array): Promise<boolean> {
  const partial = `${file}.${randomUUID()}.partial`
  try {
    await writeSynced(partial, content)
    await link(partial, file)
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code !== 'EEXIST') throw failure
    return false
  } finally {
    await unlink(partial).catch(() => {})
  }
  await syncFolder(path.dirname(file))
  return true
}
