// The comparison of attention's forms, on the fakes: a stand-in for Python makes toy models and says how long they take.

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { environment, noFakes, root, run, toyModel } from './support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'gpu-variants-test-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Vectors that the toy model does not give. */
const golden = {
  rule: 'ramps-1',
  lowestCosine: 0.999,
  clips: [
    { seed: 0, vector: Buffer.from(new Float32Array([1, 0, 0, 0, 0, 0, 0, 0]).buffer).toString('base64') },
  ],
  texts: [
    {
      text: 'ball',
      ids: [1],
      vector: Buffer.from(new Float32Array([0, 1, 0, 0, 0, 0, 0, 0]).buffer).toString('base64'),
    },
  ],
}

function toyWithGolden(): string {
  const model = toyModel('variants')
  const file = path.join(model, 'golden.json')
  writeFileSync(file, JSON.stringify(golden))
  const manifest = JSON.parse(readFileSync(path.join(model, 'model.json'), 'utf8'))
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex')
  manifest.files.golden = { path: 'golden.json', sha256, bytes: statSync(file).size }
  writeFileSync(path.join(model, 'model.json'), JSON.stringify(manifest))
  return model
}

/** Copies a model for each variant, and times an engine as `timing` says. */
function python(name: string, timing: string): string {
  const file = path.join(folder, `${name}.mjs`)
  const program = `#!${process.execPath}
import { cpSync, writeFileSync } from 'node:fs'
import path from 'node:path'
const [script, ...args] = process.argv.slice(2)
const option = (name) => args[args.indexOf(name) + 1]
if (script.endsWith('standin.py')) {
  for (const variant of option('--variants').split(','))
    cpSync(${JSON.stringify(toyWithGolden())}, path.join(option('--out'), variant), { recursive: true })
} else {
  ${timing}
}
`
  writeFileSync(file, program, { mode: 0o755 })
  return file
}

async function compare(interpreter: string, ...options: string[]) {
  const output = path.join(folder, path.basename(interpreter, '.mjs'))
  const trtexec = path.join(import.meta.dirname, 'trtexec.mjs')
  const ended = await run(
    [
      path.join(root, 'scripts/gpu/variants.mjs'),
      ...['--python', interpreter, '--trtexec', trtexec, '--variants', 'plain,heads-96', ...options],
    ],
    { ...environment(10), BENCH_OUTPUT: output },
  )
  return {
    ...ended,
    rows: () => JSON.parse(readFileSync(path.join(output, 'gpu-variants.json'), 'utf8')).rows,
  }
}

describe.skipIf(noFakes)('the comparison of forms of attention', () => {
  const timed = `console.log(JSON.stringify({ milliseconds: 12.345, attentionShare: 0.25, layers: [] }))`

  it('has time, share and cosines of every form, and hands on what TensorRT timed', async () => {
    const leave = `if (args[0].includes('plain')) writeFileSync(path.join(args[0], '../timings.card.cache'), 'timings')`
    const out = path.join(folder, 'out')
    const { ended, stderr, rows } = await compare(python('all', `${leave}; ${timed}`), '--out', out)
    expect({ ended, stderr }).toEqual({ ended: 0, stderr: '' })
    expect(rows()).toMatchObject([
      { variant: 'plain', 'ms a batch': 12.35, attention: '25 %', note: 'verify failed' },
      { variant: 'heads-96', 'ms a batch': 12.35, attention: '25 %', note: 'verify failed' },
    ])
    expect(readFileSync(path.join(out, 'heads-96/engines/timings.card.cache'), 'utf8')).toBe('timings')
    for (const row of rows()) {
      expect(row['cosine, video']).toBeLessThan(0.999)
      expect(row['cosine, text']).toBeLessThan(0.999)
    }
  }, 120_000)

  it('says what a form lacks, and goes on', async () => {
    const { ended, rows } = await compare(python('untimed', `console.error('no torch'); process.exit(1)`))
    expect(ended).toBe(0)
    expect(rows()).toMatchObject([
      { variant: 'plain', 'ms a batch': '', note: 'not timed: no torch; verify failed' },
      { variant: 'heads-96', 'ms a batch': '' },
    ])
  }, 120_000)

  it('goes on without an engine', async () => {
    const absent = path.join(folder, 'no-trtexec')
    const { ended, rows } = await compare(python('unbuilt', timed), '--trtexec', absent)
    expect(ended).toBe(0)
    expect(rows().map(({ note }: { note: string }) => note)).toEqual([
      expect.stringMatching(/^no engine: .*no-trtexec/),
      expect.stringMatching(/^no engine: .*no-trtexec/),
    ])
  }, 120_000)

  it('prints what it has when its time is up, and leaves no process behind', async () => {
    const pids = path.join(folder, 'pid')
    const forever = `(await import('node:fs')).writeFileSync(${JSON.stringify(pids)}, String(process.pid)); setInterval(() => {}, 1000)`
    const { ended, stdout, rows } = await compare(python('forever', forever), '--budget', '12')
    expect(ended).toBe(0)
    expect(stdout).toContain('stopped while plain: timing')
    expect(rows()).toMatchObject([{ variant: 'plain', 'ms a batch': '' }])
    expect(() => process.kill(Number(readFileSync(pids, 'utf8')), 0)).toThrow('ESRCH')
  }, 120_000)
})
