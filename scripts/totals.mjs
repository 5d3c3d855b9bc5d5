// Prints the totals of every test report that this run left in .cache, as the last line of CI.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const cache = fileURLToPath(new URL('../.cache', import.meta.url))
const total = { passed: 0, failed: 0, skipped: 0 }

const reports = {
  'tests.json': fromVitest,
  'asan-tests.json': fromVitest,
  'compare-tests.json': fromVitest,
  'package-tests.json': fromVitest,
  // One for each process that shared them.
  ...Object.fromEntries(shards('native-tests-').map((file) => [file, fromGoogleTest])),
}

for (const [file, read] of Object.entries(reports)) {
  const report = path.join(cache, file)
  if (!existsSync(report)) {
    console.error(`${file}: no such report, so its tests did not run`)
    total.failed += 1
    continue
  }
  const counts = read(JSON.parse(readFileSync(report, 'utf8')))
  console.error(`${file}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  for (const key of Object.keys(total)) total[key] += counts[key]
}

console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1)

function shards(prefix) {
  const files = readdirSync(cache).filter((file) => file.startsWith(prefix))
  return files.length > 0 ? files : [`${prefix}0.json`]
}

function fromVitest(report) {
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

function fromGoogleTest(report) {
  const cases = report.testsuites.flatMap((suite) => suite.testsuite)
  const skipped = cases.filter((test) => test.result === 'SKIPPED').length
  return { passed: report.tests - report.failures - skipped, failed: report.failures, skipped }
}
