// Checks a shared library before the system's loader maps it: the loader does not reject a truncated file, which then ends
// the process with a bus error.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const magic = Buffer.from('\x7fELF', 'latin1')
const machines = { 62: 'x64', 183: 'arm64' }

/** What is wrong with `file` for a process of this architecture, or undefined. Throws when it cannot be read. */
export function damage(file, arch = process.arch) {
  const header = Buffer.alloc(64)
  const descriptor = openSync(file)
  let size
  try {
    readSync(descriptor, header)
    size = fstatSync(descriptor).size
  } finally {
    closeSync(descriptor)
  }
  if (size < header.length) return `is cut short: ${size} bytes`
  if (!header.subarray(0, 4).equals(magic)) return 'is not a shared library: invalid ELF header'
  const machine = header.readUInt16LE(18)
  if (machines[machine] !== arch) {
    return `is for ${machines[machine] ?? `machine ${machine}`}, and this Node.js is for ${arch}: wrong ELF class`
  }
  // Linkers write the section table at the end of the file.
  const end = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60)
  if (size < end) return `is cut short: ${size} bytes of ${end}`
}
