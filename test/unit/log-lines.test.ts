import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { LogLines } from '../../src/cli/log-lines.ts'

const info = (n: number) => `{"level":30,"n":${n}}\n`
const error = '{"level":50,"n":9}\n'

function recorded(delayMs: number) {
  const blocks: string[] = []
  return { blocks, lines: new LogLines({ write: (text) => blocks.push(text), delayMs }) }
}

test('lines wait for others and are written in one block, in order', async () => {
  const { blocks, lines } = recorded(5)
  for (const n of [1, 2, 3]) lines.write(info(n))
  expect(blocks).toEqual([])
  while (blocks.length === 0) await sleep(1)
  lines.write(info(4))
  while (blocks.length === 1) await sleep(1)
  expect(blocks).toEqual([info(1) + info(2) + info(3), info(4)])
})

test('a warning or an error is written at once, after the lines before it', () => {
  for (const level of [40, 50, 60]) {
    const { blocks, lines } = recorded(60_000)
    const urgent = error.replace('50', String(level))
    lines.write(info(1))
    lines.write(urgent)
    expect(blocks).toEqual([info(1) + urgent])
  }
})

test('flush writes what waits, and nothing twice', () => {
  const { blocks, lines } = recorded(60_000)
  lines.write(info(1))
  lines.flush()
  lines.flush()
  expect(blocks).toEqual([info(1)])
})
