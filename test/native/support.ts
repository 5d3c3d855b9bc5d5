// Generated media, and child processes for what must be observed from outside: memory, exit, crashes.

import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { NativeFailure } from '../../lib/binding.js'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

export const noFfmpeg = spawnSync('ffmpeg', ['-version']).status !== 0
if (noFfmpeg)
  console.warn('skipped: tests that decode, because there is no ffmpeg program to make media with')

/** A moving test picture, `seconds` long, 10 frames a second, one keyframe. */
export function makeVideo(name: string, seconds: number, size: string): string {
  const file = path.join(folder, name)
  ffmpeg(
    '-f',
    'lavfi',
    '-i',
    `testsrc2=size=${size}:rate=10:duration=${seconds}`,
  )(...['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '100000', '-pix_fmt', 'yuv420p', file])
  return file
}

/** Repeats `video` without encoding it again: quick to create but slow to decode. */
export function repeat(video: string, times: number): string {
  const file = `${video}.x${times}.mkv`
  ffmpeg('-stream_loop', String(times - 1), '-i', video)('-c', 'copy', file)
  return file
}

function ffmpeg(...input: string[]): (...output: string[]) => void {
  return (...output) => {
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...input, ...output], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  }
}

export interface ChildResult {
  /** Exit status, or the signal that ended it: a crash, or SIGKILL if it hung. */
  ended: number | NodeJS.Signals
  stdout: string
  stderr: string
}

/** Runs a script of children/ in its own Node. */
export function runChild(script: string, args: string[], nodeFlags: string[] = []): Promise<ChildResult> {
  const file = path.join(import.meta.dirname, 'children', script)
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...nodeFlags, file, ...args],
      { timeout: 50_000, killSignal: 'SIGKILL' },
      (_error, stdout, stderr) => {
        resolve({ ended: child.signalCode ?? child.exitCode ?? 'SIGKILL', stdout, stderr })
      },
    )
  })
}

/** The error that a call throws or a promise rejects with. */
export async function failureOf(run: () => unknown): Promise<Error & NativeFailure> {
  try {
    await run()
  } catch (error) {
    return error as Error & NativeFailure
  }
  throw new Error('expected a failure, and there was none')
}
