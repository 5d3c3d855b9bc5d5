// Reads the reports of test runners, and judges the skips in them.

/**
 * @typedef {{ file: string, name: string }} Skip
 * @typedef {{ passed: number, failed: number, skipped: number, skips: Skip[] }} Counts `skips` names those that need a
 *   reason from the list
 */

/** @returns {Counts} of Vitest's JSON. scripts/compare.mjs writes the numbers alone: it has its own list of reasons. */
export function fromVitest(report) {
  const skips = (report.testResults ?? []).flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status !== 'passed' && status !== 'failed')
      .map(({ fullName }) => ({ file: fromRoot(name), name: fullName })),
  )
  return {
    passed: report.numPassedTests,
    // A file that fails before its first test, in an import or a hook, has no failed test.
    failed: Math.max(report.numFailedTests, (report.testResults ?? []).filter(isBrokenFile).length),
    skipped: report.numPendingTests + report.numTodoTests,
    skips,
  }
}

function isBrokenFile({ status, assertionResults }) {
  return status === 'failed' && !assertionResults.some((test) => test.status === 'failed')
}

/** @returns {Counts} of GoogleTest's JSON, which does not hold the messages of GTEST_SKIP */
export function fromGoogleTest(report) {
  const skips = report.testsuites
    .flatMap((suite) => suite.testsuite)
    .filter(({ result }) => result === 'SKIPPED')
    .map(({ file, classname, name }) => ({ file: fromRoot(file), name: `${classname}.${name}` }))
  const passed = report.tests - report.failures - skips.length
  return { passed, failed: report.failures, skipped: skips.length, skips }
}

/** Files are absolute, or relative to a build folder. */
function fromRoot(file) {
  return file.replace(/^.*?(?=(native\/)?test\/)/, '')
}

/**
 * Splits skips into those that the list allows here and the others.
 *
 * @param {Skip[]} skips
 * @param {string} report its name
 * @param {import('./skips.mjs').AllowedSkip[]} allowed
 */
export function judgeSkips(skips, report, allowed) {
  const reasons = new Map()
  const refused = []
  for (const skip of skips) {
    const entry = allowed.find((each) => fits(each, skip, report) && (each.when?.() ?? true))
    if (entry) reasons.set(entry.reason, (reasons.get(entry.reason) ?? 0) + 1)
    else refused.push(skip)
  }
  return { reasons, refused }
}

/**
 * @param {import('./skips.mjs').AllowedSkip} entry
 * @param {Skip} skip
 * @param {string} report
 */
function fits({ file, test, report: only }, skip, report) {
  return file === skip.file && (test?.test(skip.name) ?? true) && (only ?? report) === report
}
