import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'

test.skipIf(!existsSync('/proc/self'))('the end of a process ends what it runs', async () => {
  const program = `
    import { runChild } from ${JSON.stringify(new URL('../../dist/base/child-process.js', import.meta.url).href)}
    const onLine = (line) => process.stdout.write(line, () => process.exit())
    await runChild('sh', ['-c', 'echo $$; exec sleep 60'], { onLine })`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
  expect(stdout).toMatch(/^\d+$/)
  await vi.waitFor(() => expect(existsSync(`/proc/${stdout}/cwd`)).toBe(false))
})
