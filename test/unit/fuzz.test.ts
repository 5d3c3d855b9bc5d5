import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { check, inputOf, loadScript, scriptTargets } from '../../scripts/fuzz/script-targets.mjs'

/** Of a target: those that write files take longer. */
const rounds: Record<string, number> = { model: 300, manifest: 300 }
const usual = 2000

test.each(scriptTargets())('%s: mutated input gives a result or a typed error', async (name) => {
  const target = await loadScript(name)
  target.begin()
  try {
    for (const seed of target.seeds) await check(target, seed)
    let accepted = 0
    const count = rounds[name] ?? usual
    for (let round = 0; round < count; round++) {
      if (await check(target, inputOf(target, 1, round))) accepted++
    }
    // Mutations that only break the syntax would test little.
    expect(accepted).toBeGreaterThan(0)
    expect(accepted).toBeLessThan(count)
  } finally {
    target.end()
  }
})

test('the seed and the round alone decide the input', async () => {
  const target = await loadScript('body')
  expect(inputOf(target, 5, 77)).toEqual(inputOf(target, 5, 77))
  const inputs = new Set(
    Array.from({ length: 50 }, (_, round) => inputOf(target, 5, round).toString('latin1')),
  )
  expect(inputs.size).toBeGreaterThan(40)
})

test('docs/security.md has a row for every target', () => {
  const native = readdirSync(new URL('../../native/fuzz/targets', import.meta.url))
  const names = [...native.map((file) => file.replace('.cc', '')), ...scriptTargets()]
  const rows = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8').matchAll(
    /^\| `([\w-]+)` \|/gm,
  )
  expect(new Set([...rows].map(([, name]) => name))).toEqual(new Set(names))
})
