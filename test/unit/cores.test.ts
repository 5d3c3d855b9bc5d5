import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { coreQuota } from '../../src/base/cores.ts'

test.each<[string, Record<string, string>, number | undefined]>([
  ['two cores and a half', { 'cpu.max': '250000 100000\n' }, 3],
  ['half a core', { 'cpu.max': '50000 100000\n' }, 1],
  ['no quota', { 'cpu.max': 'max 100000\n' }, undefined],
  ['version 1', { 'cpu/cpu.cfs_quota_us': '400000\n', 'cpu/cpu.cfs_period_us': '100000\n' }, 4],
  [
    'version 1 without a quota',
    { 'cpu/cpu.cfs_quota_us': '-1\n', 'cpu/cpu.cfs_period_us': '100000\n' },
    undefined,
  ],
  ['no control groups', {}, undefined],
  ['nonsense', { 'cpu.max': 'x' }, undefined],
])('%s', (_, files, cores) => {
  const root = mkdtempSync(path.join(tmpdir(), 'cgroup-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  mkdirSync(path.join(root, 'cpu'))
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(root, name), text)
  expect(coreQuota(root)).toBe(cores)
})
