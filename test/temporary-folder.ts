/**
 * One folder for all temporary files of a run of Vitest, which is removed when the run ends. The handlers with which tests
 * remove their own files do not run where a process is ended by a signal, and Vitest ends a process so that takes too long to exit.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const prefix = 'cosmos-embed-tests-'

/** For Vitest, before all tests of a run. The processes of the tests inherit `TMPDIR`. */
export function setup(): (() => void) | undefined {
  const before = process.env.TMPDIR
  // Each project of a run comes here.
  if (before !== undefined && path.basename(before).startsWith(prefix)) return
  const folder = mkdtempSync(path.join(tmpdir(), prefix))
  process.env.TMPDIR = folder
  return () => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
    // A process that a test has started may still write.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
