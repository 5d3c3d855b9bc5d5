/** Files that survive the end of the process, and the power's. */
import { randomUUID } from 'node:crypto'
import { link, open, rename, unlink } from 'node:fs/promises'
import path from 'node:path'

/** The file is there whole, or as it was before. */
export async function writeAtomically(file: string, content: string | Uint8Array): Promise<void> {
  const partial = `${file}.partial`
  try {
    await writeSynced(partial, content)
    await rename(partial, file)
  } catch (failure) {
    // A full disk should not stay full because of what cannot be used.
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

/** So that names which were made or taken in it stay so. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The file is there whole, unless another was there before, which stays. */
export async function writeIfAbsent(file: string, content: string | Uint8Array): Promise<void> {
  const partial = `${file}.${randomUUID()}.partial`
  try {
    await writeSynced(partial, content)
    await link(partial, file).catch((failure) => {
      if (failure.code !== 'EEXIST') throw failure
    })
  } finally {
    await unlink(partial).catch(() => {})
  }
  await syncFolder(path.dirname(file))
}
