import { describe, expect, it } from 'vitest'
import { checkShape } from '../../src/http/json-shape.ts'
import { random } from '../embedder/random.ts'

const any = { depth: 1000, values: 1_000_000 }
const check = (text: string, limits = any) => checkShape(Buffer.from(text), limits)

/** The number of values and names in parsed JSON, counted like the scanner counts them. */
function count(value: unknown): { depth: number; values: number } {
  if (typeof value !== 'object' || value === null) return { depth: 0, values: 1 }
  const parts = Object.values(value).map(count)
  const names = Array.isArray(value) ? 0 : parts.length
  return {
    depth: 1 + Math.max(0, ...parts.map(({ depth }) => depth)),
    values: 1 + names + parts.reduce((sum, { values }) => sum + values, 0),
  }
}

function anything(below: (n: number) => number, depth = 0): unknown {
  const texts = ['', '"', '\\', '\\"', '[{,:', '\\\\', 'é中🎉', '\u0000', '"]}', 'a'.repeat(50)]
  switch (below(depth > 5 ? 4 : 7)) {
    case 0:
      return texts[below(texts.length)]
    case 1:
      return below(1e9) / 7
    case 2:
      return null
    case 3:
      return texts.map((text) => text.repeat(below(4))).join(texts[below(texts.length)])
    case 4:
      return Array.from({ length: below(5) }, () => anything(below, depth + 1))
    default:
      return Object.fromEntries(
        Array.from({ length: below(5) }, () => [
          `${texts[below(texts.length)]}${below(99)}`,
          anything(below, depth + 1),
        ]),
      )
  }
}

describe('checkShape', () => {
  it('counts the values of a body, whatever its strings contain', () => {
    const below = random(3)
    for (let round = 0; round < 2000; round++) {
      const value = anything(below)
      const text = JSON.stringify(value, undefined, below(3))
      const { depth, values } = count(value)
      expect(() => check(text, { depth, values: 3 * values + 1 })).not.toThrow()
      if (depth > 0) {
        expect(() => check(text, { depth: depth - 1, values: 3 * values + 1 }), text).toThrow(
          /nests more than/,
        )
      }
      if (values === 1) continue
      expect(() => check(text, { depth, values: Math.floor((values - 1) / 2) }), text).toThrow(
        /holds more than/,
      )
    }
  })

  it.each(['', '"', '"\\', '"a\\"', '{"', ']]]]', '"a" "b"', '\\"['.repeat(10)])(
    'leaves %j to the parser',
    (text) => {
      expect(() => check(text)).not.toThrow()
    },
  )
})
