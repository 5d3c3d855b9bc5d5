import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { makeFolder, removeFolders } from './bundles.ts'

afterEach(removeFolders)

const program = `
import cluster from 'node:cluster'
import { lockFolder } from ${JSON.stringify(new URL('../../dist/tensorrt/build-lock.js', import.meta.url).href)}
if (cluster.isPrimary) {
  const fork = () => cluster.fork().on('message', (word) => console.log(word))
  const first = fork().on('message', (word) => {
    // The first keeps the lock until the second waits for it, however long the second takes to start.
    if (word === 'locked') fork().on('message', function (said) {
      if (said === 'waits') first.send('unlock')
      if (said === 'locked') this.send('unlock')
    })
  })
} else {
  const say = (word) => new Promise((resolve) => process.send(word, resolve))
  const unlock = await lockFolder('/a/folder of this test', {
    signal: new AbortController().signal,
    onWait: () => say('waits'),
  })
  process.once('message', async () => {
    await say('unlocks')
    await unlock()
    process.exit()
  })
  await say('locked')
}
`

test('one worker of a cluster holds the lock while the next one waits', async () => {
  const file = join(makeFolder(), 'cluster.mjs')
  writeFileSync(file, program)
  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 })
  expect(stdout.trim().split('\n')).toEqual(['locked', 'waits', 'unlocks', 'locked', 'unlocks'])
})
