import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { hardening } from '../../scripts/check-binary.mjs'

const addon = path.join(import.meta.dirname, '../../build/Release/cosmos-embed.node')

describe.skipIf(!existsSync(addon))('the addon of this checkout', () => {
  it('is built as the one in the package is: a mistake in memory ends the process', () => {
    expect(hardening(addon)).toEqual([])
  })
})
