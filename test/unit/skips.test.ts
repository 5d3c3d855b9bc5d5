import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { fromGoogleTest, fromVitest, judgeSkips } from '../../scripts/ci/reports.mjs'
import { allowedSkips } from '../../scripts/ci/skips.mjs'

const root = path.join(import.meta.dirname, '../..')

describe('the report of Vitest', () => {
  const test = (fullName: string, status: string) => ({ fullName, status })
  const report = {
    numPassedTests: 1,
    numFailedTests: 0,
    numPendingTests: 2,
    numTodoTests: 1,
    testResults: [
      {
        name: '/anywhere/checkout/test/unit/a.test.ts',
        status: 'passed',
        assertionResults: [
          test('a works', 'passed'),
          test('a needs a disk', 'skipped'),
          test('a needs root', 'pending'),
          test('a is planned', 'todo'),
        ],
      },
    ],
  }

  it('names the tests that did not run', () => {
    const skips = ['a needs a disk', 'a needs root', 'a is planned']
    expect(fromVitest(report)).toEqual({
      passed: 1,
      failed: 0,
      skipped: 3,
      skips: skips.map((name) => ({ file: 'test/unit/a.test.ts', name })),
    })
  })

  it('fails for a file that broke before its first test', () => {
    const broken = { name: '/checkout/test/unit/b.test.ts', status: 'failed', assertionResults: [] }
    expect(fromVitest({ ...report, testResults: [broken] }).failed).toBe(1)
  })

  it('may hold nothing but numbers', () => {
    const numbers = { numPassedTests: 5, numFailedTests: 1, numPendingTests: 2, numTodoTests: 0 }
    expect(fromVitest(numbers)).toEqual({ passed: 5, failed: 1, skipped: 2, skips: [] })
  })
})

it('the report of GoogleTest names the tests that did not run', () => {
  const test = (name: string, result: string) => ({
    ...{ classname: 'Shared/Media', name, result },
    file: '../native/test/media_shared_test.cc',
  })
  const report = {
    tests: 3,
    failures: 1,
    testsuites: [{ testsuite: [test('Reads/0', 'COMPLETED'), test('Reads/1', 'SKIPPED')] }],
  }
  expect(fromGoogleTest(report)).toEqual({
    passed: 1,
    failed: 1,
    skipped: 1,
    skips: [{ file: 'native/test/media_shared_test.cc', name: 'Shared/Media.Reads/1' }],
  })
})

describe('a skip', () => {
  const skip = { file: 'test/unit/a.test.ts', name: 'a needs root' }
  const judge = (...allowed: Parameters<typeof judgeSkips>[2]) => judgeSkips([skip], 'tests.json', allowed)
  const entry = { file: skip.file, reason: 'only root may' }

  it('is allowed by an entry for its file, its name or its report', () => {
    for (const extra of [{}, { test: /needs root$/ }, { report: 'tests.json' }, { when: () => true }]) {
      const { reasons, refused } = judge({ ...entry, ...extra })
      expect([...reasons]).toEqual([['only root may', 1]])
      expect(refused).toEqual([])
    }
  })

  it('is refused where no entry fits, or where its reason does not hold on this machine', () => {
    const extras = [{ file: 'test/unit/b.test.ts' }, { test: /needs a disk/ }, { report: 'other.json' }]
    for (const extra of [...extras, { when: () => false }]) {
      expect(judge({ ...entry, ...extra }).refused).toEqual([skip])
    }
    expect(judge().refused).toEqual([skip])
  })
})

describe('the list of skips', () => {
  it.each(allowedSkips)('names a test that exists: $file', ({ file, test, reason, when }) => {
    const source = readFileSync(path.join(root, file), 'utf8')
    expect(source).toContain(/\w[\w ,]*/.exec(test?.source ?? '')?.[0] ?? '')
    expect(reason).not.toBe('')
    expect([undefined, true, false]).toContain(when?.())
  })
})
