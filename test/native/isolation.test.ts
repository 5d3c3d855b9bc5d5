import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import binding from '#binding'
import { failureOf, makeVideo, noFfmpeg, repeat, runChild } from './support.ts'

const options = { frames: 4, height: 16, width: 16 }

describe('a pool of decoder processes', () => {
  it('checks its options', async () => {
    const cases = [
      [{ idle: 1 }, 'options.maxBytes'],
      [{ maxBytes: 1, idle: 0 }, 'options.idle'],
      [{ maxBytes: 1, idle: 1, clipsPerProcess: 0 }, 'options.clipsPerProcess'],
      [{ maxBytes: 1, idle: 1, executable: 'relative' }, 'options.executable'],
    ] as const
    for (const [given, field] of cases) {
      const failure = await failureOf(() => binding.openDecoderPool(given as never))
      expect(failure).toMatchObject({ code: 'invalid_argument', details: { field } })
    }
  })

  it('says which executable cannot be started', async () => {
    const executable = '/no/such/decoder'
    const failure = await failureOf(
      () => binding.openDecoderPool({ maxBytes: 1e9, idle: 1, executable }).promise,
    )
    expect(failure).toMatchObject({ code: 'library', details: { path: executable } })
  })

  it('is refused once it is closed', async () => {
    const decoders = await binding.openDecoderPool({ maxBytes: 1e9, idle: 1 }).promise
    decoders.close()
    decoders.close()
    const failure = await failureOf(() => binding.decodeClip({ path: 'a.mp4' }, { ...options, decoders }))
    expect(failure).toMatchObject({ code: 'invalid_argument', details: { field: 'options.decoders' } })
  })
})

/** Resolves when none of the processes exists any more. */
async function gone(pids: readonly string[]): Promise<void> {
  while (pids.some((pid) => existsSync(`/proc/${pid}`))) await sleep(20)
}

describe.skipIf(noFfmpeg)('decoder processes', () => {
  let long: string
  beforeAll(() => {
    long = repeat(makeVideo('isolated-part.mp4', 4, '640x480'), 500)
  })

  it.each([
    ['is killed', 'kill', 'SIGKILL'],
    ['exits', 'exit', 0],
    ['cancels and ends', 'close', 0],
    ['terminates a worker that uses them too', 'worker', 0],
  ] as const)('end with the process that uses them when it %s', async (_, action, ended) => {
    const child = await runChild('isolated.mjs', [long, action])
    expect(child.stderr).toBe('')
    expect(child.ended).toBe(ended)
    const pids = JSON.parse(child.stdout.split('\n')[0] as string) as string[]
    expect(pids.length).toBeGreaterThanOrEqual(2)
    await gone(pids)
  })
})
