// Runs every test that needs no package: TypeScript and the addon in Node, then the native code under sanitizers. Both run
// although one fails, so that one run tells everything.
//
// The tests in Node wait as often as they work. The native tests are compiled in that time, at the lowest priority, so
// that they do not slow down what is being tested.

import { spawn } from 'node:child_process'
import os from 'node:os'
import process from 'node:process'

const build = spawn(process.execPath, ['scripts/native-test.mjs', '--build-only'], { stdio: 'inherit' })
const built = statusOf(build)
if (build.pid !== undefined) os.setPriority(build.pid, os.constants.priority.PRIORITY_LOW)

const inNode = await statusOf(spawn('npm', ['run', '--silent', 'test:node'], { stdio: 'inherit' }))
if (build.exitCode === null) console.error('native tests: still compiling')
const native =
  (await built) ||
  (await statusOf(spawn(process.execPath, ['scripts/native-test.mjs'], { stdio: 'inherit' })))
process.exit(inNode || native)

/** @returns the exit status: 1 where a signal ended the child or it could not start */
function statusOf(child) {
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(error.message)
      resolve(1)
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}
