import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { damage } from '../../lib/elf.js'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-elf-'))
afterAll(() => rmSync(folder, { recursive: true }))
const other = process.arch === 'x64' ? 'arm64' : 'x64'

function file(bytes: Buffer) {
  const name = path.join(folder, 'library.so')
  writeFileSync(name, bytes)
  return name
}

/** 64 bytes of header, 100 of content, a table of three sections of 64 bytes. */
function library() {
  const bytes = Buffer.alloc(64 + 100 + 3 * 64, 1)
  bytes.write('\x7fELF', 'latin1')
  bytes.writeUInt16LE(process.arch === 'x64' ? 62 : 183, 18)
  bytes.writeBigUInt64LE(164n, 40)
  bytes.writeUInt16LE(64, 58)
  bytes.writeUInt16LE(3, 60)
  return bytes
}

describe('a shared library, before it is loaded', () => {
  it('is accepted as it was linked', () => {
    expect(damage(process.execPath)).toBeUndefined()
    expect(damage(file(library()))).toBeUndefined()
  })

  it('may be longer than its sections', () => {
    expect(damage(file(Buffer.concat([library(), Buffer.alloc(100)])))).toBeUndefined()
  })

  it.each([0, 1, 63, 64, 164, 355])('is refused when cut to %i bytes', (length) => {
    expect(damage(file(library().subarray(0, length)))).toMatch(/^is cut short: \d+ bytes/)
  })

  it('is refused when it is another kind of file', () => {
    expect(damage(file(Buffer.from('<!DOCTYPE html>'.repeat(10))))).toMatch(/invalid ELF header/)
  })

  it('is refused on another architecture', () => {
    expect(damage(file(library()), other)).toBe(
      `is for ${process.arch}, and this Node.js is for ${other}: wrong ELF class`,
    )
  })
})
