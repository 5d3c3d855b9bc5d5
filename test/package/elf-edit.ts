/** A copy of a shared library whose newest required version of glibc is replaced by `version`. */
export function requireGlibc(bytes: Buffer, version: string): Buffer {
  const copy = Buffer.from(bytes)
  const asked = [...new Set(copy.toString('latin1').match(/GLIBC_2\.\d\d(?=\0)/g))].sort().at(-1)
  if (!asked) throw new Error('this library requires no version of glibc')
  const instead = `GLIBC_${version}`
  if (instead.length !== asked.length) throw new Error(`${instead} has another length than ${asked}`)
  const name = copy.indexOf(`${asked}\0`)
  copy.write(instead, name, 'latin1')
  // The loader compares hashes before names, so the hash in the table of required versions must match.
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

/** A copy of a shared library without the symbol versions that `hidden` selects, so that the loader does not find them. */
export function withoutVersions(bytes: Buffer, hidden: (version: string) => boolean): Buffer {
  const copy = Buffer.from(bytes)
  const section = (index: number) => Number(copy.readBigUInt64LE(40)) + index * copy.readUInt16LE(58)
  const offset = (header: number) => Number(copy.readBigUInt64LE(header + 24))
  const sections = Array.from({ length: copy.readUInt16LE(60) }, (_, index) => section(index))
  const definitions = sections.find((header) => copy.readUInt32LE(header + 4) === SHT_GNU_VERDEF)
  if (definitions === undefined) return copy
  const strings = offset(section(copy.readUInt32LE(definitions + 40)))
  for (let at = offset(definitions), next = -1; next !== 0; at += next) {
    next = copy.readUInt32LE(at + 16)
    const name = strings + copy.readUInt32LE(at + copy.readUInt32LE(at + 12))
    const version = copy.toString('latin1', name, copy.indexOf(0, name))
    // A wrong hash hides the version, since the loader compares hashes before names.
    if (hidden(version)) copy.writeUInt32LE(~elfHash(version) >>> 0, at + 8)
  }
  return copy
}

const SHT_GNU_VERDEF = 0x6ffffffd

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
