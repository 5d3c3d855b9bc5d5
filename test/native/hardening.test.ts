import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { hardening } from '../../scripts/check-binary.mjs'

const addon = path.join(import.meta.dirname, '../../build/Release/cosmos-embed.node')

describe.skipIf(!existsSync(addon))('the addon of this checkout', () => {
  it('is hardened like the packaged one: a memory error ends the process', () => {
    expect(hardening(addon)).toEqual([])
  })
})
