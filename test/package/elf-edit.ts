/** A copy of a shared library that asks for another version of glibc than the newest that it asks for. */
export function requireGlibc(bytes: Buffer, version: string): Buffer {
  const copy = Buffer.from(bytes)
  const asked = [...new Set(copy.toString('latin1').match(/GLIBC_2\.\d\d(?=\0)/g))].sort().at(-1)
  if (!asked) throw new Error('this library asks for no version of glibc')
  const instead = `GLIBC_${version}`
  if (instead.length !== asked.length) throw new Error(`${instead} has another length than ${asked}`)
  const name = copy.indexOf(`${asked}\0`)
  copy.write(instead, name, 'latin1')
  // The loader compares hashes before names: they stand in the table of needed versions.
  const [before, after] = [asked, instead].map((text) => {
    const hash = Buffer.alloc(4)
    hash.writeUInt32LE(elfHash(text))
    return hash
  }) as [Buffer, Buffer]
  const at = copy.indexOf(before)
  if (at < 0) throw new Error(`the hash of ${asked} is not in the file`)
  after.copy(copy, at)
  return copy
}

/** The hash function of the System V ABI. */
function elfHash(text: string): number {
  let hash = 0
  for (const byte of Buffer.from(text, 'latin1')) {
    hash = ((hash << 4) + byte) >>> 0
    const high = (hash & 0xf0000000) >>> 0
    hash = (hash ^ (high >>> 24)) & ~high
  }
  return hash >>> 0
}
