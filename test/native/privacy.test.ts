// A process leaves no files and makes no connections, although ONNX Runtime by default does both.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { engineOptions, noOnnxRuntime } from './models.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-quiet-'))
afterAll(() => rmSync(folder, { recursive: true }))

const child = [
  path.join(import.meta.dirname, 'children', 'quiet.mjs'),
  JSON.stringify(engineOptions),
] as const
const noStrace =
  spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status !== 0 || 'LD_PRELOAD' in process.env

/** An environment in which everything that a program stores goes to a folder of this test. */
function freshHome(name: string) {
  const home = path.join(folder, name)
  const env: Record<string, string | undefined> = { ...process.env, HOME: home }
  for (const key of ['XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME', 'TMPDIR']) {
    env[key] = path.join(home, key)
    mkdirSync(env[key], { recursive: true })
  }
  delete env.ORT_DISABLE_TELEMETRY
  return { home, env }
}

function filesIn(home: string): string[] {
  return readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
}

describe.skipIf(noOnnxRuntime)('an engine', () => {
  it.each([undefined, '0'])('leaves no file behind (ORT_DISABLE_TELEMETRY=%s)', (value) => {
    const { home, env } = freshHome(`files-${value}`)
    if (value !== undefined) env.ORT_DISABLE_TELEMETRY = value
    execFileSync(process.execPath, [...child], { env })
    expect(filesIn(home)).toEqual([])
  })

  describe.skipIf(noStrace)('under a tracer', () => {
    let calls: string[]
    beforeAll(() => {
      const { env } = freshHome('traced')
      const log = path.join(folder, 'calls')
      const traced = ['-f', '-qq', '-e', 'trace=socket,connect,openat,unlink', '-o', log, process.execPath]
      execFileSync('strace', [...traced, ...child], { env })
      calls = readFileSync(log, 'utf8').split('\n')
    })

    it('looks nothing up and connects to nobody', () => {
      expect(calls.length).toBeGreaterThan(20) // the tracer saw something
      expect(calls.filter((call) => /AF_INET|resolv\.conf|nsswitch|\/hosts"/.test(call))).toEqual([])
    })

    it('keeps no identifier and no log, not even for a while', () => {
      expect(
        calls.filter((call) => /deviceid|\.onnxruntime|O_CREAT.*XDG_|O_CREAT.*TMPDIR/.test(call)),
      ).toEqual([])
    })
  })
})
