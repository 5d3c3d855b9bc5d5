// Memory, exit and crashes, observed from outside in separate processes.

import { beforeAll, describe, expect, it } from 'vitest'
import { engineOptions, noOnnxRuntime } from './models.ts'
import { makeVideo, noFfmpeg, repeat, runChild } from './support.ts'

const MiB = 1 << 20
const engine = noOnnxRuntime ? '' : JSON.stringify(engineOptions)

describe.skipIf(noFfmpeg)('memory', () => {
  let video: string
  beforeAll(() => {
    video = makeVideo('memory.mp4', 2, '64x48')
  })

  async function leftAfter(what: string, source: string) {
    const child = await runChild('memory.mjs', [what, source], ['--expose-gc'])
    expect(child).toMatchObject({ ended: 0, stderr: '' })
    return JSON.parse(child.stdout) as Record<
      'external' | 'arrayBuffers' | 'peak' | 'threadsBefore' | 'threadsAfter',
      number
    >
  }

  it('of clips dropped without release() is collected before it piles up', async () => {
    const { external, peak } = await leftAfter('clips', video)
    expect(external).toBeLessThan(32 * MiB)
    expect(peak).toBeLessThan(900 * MiB) // of 1440 that went through
  })

  it('of bytes is released when their job ends', async () => {
    expect((await leftAfter('bytes', video)).arrayBuffers).toBeLessThan(32 * MiB)
  })

  it('of bytes is released when their reader is collected without close()', async () => {
    expect((await leftAfter('readers', video)).arrayBuffers).toBeLessThan(64 * MiB)
  })

  it.skipIf(noOnnxRuntime)('and threads of engines are freed, whether closed or collected', async () => {
    const { threadsBefore, threadsAfter } = await leftAfter('engines', engine)
    expect(threadsAfter).toBeLessThanOrEqual(threadsBefore + 1) // six were dropped; one thread may be ending
  })
})

describe.skipIf(noFfmpeg)('a process', () => {
  let short: string
  let long: string
  beforeAll(() => {
    short = makeVideo('exit.mp4', 2, '64x48')
    long = repeat(makeVideo('exit-part.mp4', 4, '640x480'), 500)
  })

  it('exits when nothing runs, whatever is still open', async () => {
    expect(await runChild('exit.mjs', ['idle', short, engine])).toEqual({ ended: 0, stdout: '', stderr: '' })
  })

  it('stays alive for the results of its jobs', async () => {
    expect(await runChild('exit.mjs', ['answers', short, engine])).toMatchObject({
      ended: 0,
      stdout: 'answered\n',
    })
  })

  it('does not stay alive for an unreferenced job', async () => {
    expect(await runChild('exit.mjs', ['unref', long, ''])).toEqual({ ended: 0, stdout: '', stderr: '' })
  })

  it('exits during jobs by process.exit()', async () => {
    expect(await runChild('exit.mjs', ['exit', long, engine])).toEqual({ ended: 7, stdout: '', stderr: '' })
  })

  it('exits soon during a picture that takes long to decode', async () => {
    const began = performance.now()
    expect(await runChild('exit.mjs', ['stuck', '', ''])).toEqual({ ended: 7, stdout: '', stderr: '' })
    expect(performance.now() - began).toBeLessThan(30_000)
  })

  it('exits during jobs by an uncaught exception', async () => {
    const child = await runChild('exit.mjs', ['throw', long, engine])
    expect(child.ended).toBe(1)
    expect(child.stderr).toContain('on purpose')
  })

  it('refuses a job that is started while it exits', async () => {
    expect(await runChild('exit.mjs', ['late', short, ''])).toMatchObject({ ended: 0, stdout: 'cancelled\n' })
  })
})

describe.skipIf(noFfmpeg)('worker threads', () => {
  let video: string
  beforeAll(() => {
    video = repeat(makeVideo('workers.mp4', 4, '320x240'), 100)
  })

  it('load the addon side by side and get the same results', async () => {
    const child = await runChild('workers.mjs', ['together', video, ''])
    expect(child).toMatchObject({ ended: 0, stderr: '' })
    const answers = JSON.parse(child.stdout) as string[]
    expect(answers).toHaveLength(4)
    expect(new Set(answers).size).toBe(1)
  })

  it('are terminated during decoding and encoding, while others go on', async () => {
    const child = await runChild('workers.mjs', ['terminate', video, engine])
    expect(child).toMatchObject({ ended: 0, stderr: '' })
    expect(JSON.parse(child.stdout)).toEqual([Array(6).fill(1), 2 * 3 * 8 * 8])
  })

  it('end, all of them, without unloading the addon under its threads', async () => {
    expect(await runChild('workers.mjs', ['unload', video, engine])).toEqual({
      ended: 0,
      stdout: 'alive\n',
      stderr: '',
    })
  })

  it('exit during jobs by process.exit()', async () => {
    expect(await runChild('workers.mjs', ['exit', video, engine])).toEqual({
      ended: 0,
      stdout: '[5]\n',
      stderr: '',
    })
  })

  it('end while their decoders are within a picture, which finish it alone', async () => {
    expect(await runChild('workers.mjs', ['stuck', '', ''])).toEqual({
      ended: 7,
      stdout: '[1,true]\n',
      stderr: '',
    })
  })

  it('end while they load the addon', async () => {
    const child = await runChild('load.mjs', ['40'])
    expect(child).toMatchObject({ ended: 0, stderr: '' })
    expect(child.stdout).toContain('refused')
  })

  it('are busy when the main thread exits', async () => {
    expect(await runChild('workers.mjs', ['exitMain', video, engine])).toEqual({
      ended: 9,
      stdout: '',
      stderr: '',
    })
  })
})
