// What is wrong with a shared library, told before the system's loader maps it: one that is cut short would not be
// refused, but end the process with a bus error.

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
  if (!header.subarray(0, 4).equals(magic)) return 'is no shared library: invalid ELF header'
  const machine = header.readUInt16LE(18)
  if (machines[machine] !== arch) {
    return `is for ${machines[machine] ?? `machine ${machine}`}, and this Node.js is for ${arch}: wrong ELF class`
  }
  // The section table is the last thing in a file that linkers write.
  const end = Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60)
  if (size < end) return `is cut short: ${size} bytes of ${end}`
}
