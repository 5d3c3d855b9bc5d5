import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { makeFolder, removeFolders } from './bundles.ts'

afterEach(removeFolders)

const program = `
import cluster from 'node:cluster'
import { lockFolder } from ${JSON.stringify(new URL('../../dist/model/build-lock.js', import.meta.url).href)}
if (cluster.isPrimary) {
  let workers = 2
  const fork = () => cluster.fork().on('message', (word) => {
    console.log(word)
    if (word === 'locked' && --workers > 0) fork()
  })
  fork()
} else {
  const say = (word) => new Promise((resolve) => process.send(word, resolve))
  const unlock = await lockFolder('/a/folder of this test', {
    signal: new AbortController().signal,
    onWait: () => say('waits'),
  })
  await say('locked')
  setTimeout(async () => {
    await say('unlocks')
    await unlock()
    process.exit()
  }, 1000)
}
`

test('one of the workers of a cluster has the lock, and the next one waits', async () => {
  const file = join(makeFolder(), 'cluster.mjs')
  writeFileSync(file, program)
  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 })
  expect(stdout.trim().split('\n')).toEqual(['locked', 'waits', 'unlocks', 'locked', 'unlocks'])
})
