// Prints the totals of every test report that this run left in .cache, as the last line of CI. Fails where a report is
// missing, a test failed, or a test was skipped for a reason that scripts/ci/skips.mjs does not list.
//
//   node scripts/totals.mjs                 every report
//   node scripts/totals.mjs tests asan      those of these stages

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { fromGoogleTest, fromVitest, judgeSkips } from './ci/reports.mjs'
import { allowedSkips } from './ci/skips.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const cache = path.join(root, '.cache')
process.chdir(root)

/** The reports of each stage of .ci/run. */
const stages = {
  tests: () => [['tests.json', fromVitest], ...shards('native-tests-').map((file) => [file, fromGoogleTest])],
  asan: () => [['asan-tests.json', fromVitest]],
  compare: () => [['compare-tests.json', fromVitest]],
  package: () => [['package-tests.json', fromVitest]],
}

const named = process.argv.slice(2).filter((stage) => stage in stages)
const wanted = process.argv.length > 2 ? named : Object.keys(stages)
const total = { passed: 0, failed: 0, skipped: 0 }
for (const [file, read] of wanted.flatMap((stage) => stages[stage]())) count(file, read)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exit(total.failed === 0 && (total.passed > 0 || wanted.length === 0) ? 0 : 1)

function count(file, read) {
  const report = path.join(cache, file)
  if (!existsSync(report)) {
    console.error(`${file}: no such report, so its tests did not run`)
    total.failed += 1
    return
  }
  const counts = read(JSON.parse(readFileSync(report, 'utf8')))
  const { reasons, refused } = judgeSkips(counts.skips, file, allowedSkips)
  console.error(`${file}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  for (const [reason, tests] of reasons) console.error(`  skipped ${tests}: ${reason}`)
  for (const skip of refused) {
    console.error(
      `  FAIL ${skip.file}: "${skip.name}" was skipped; scripts/ci/skips.mjs lists no reason for it`,
    )
  }
  total.passed += counts.passed
  total.failed += counts.failed + refused.length
  total.skipped += counts.skipped - refused.length
}

/** One report for each process that shared the tests; the first one's name stands for all when there is none. */
function shards(prefix) {
  const files = existsSync(cache) ? readdirSync(cache).filter((file) => file.startsWith(prefix)) : []
  return files.length > 0 ? files : [`${prefix}0.json`]
}
