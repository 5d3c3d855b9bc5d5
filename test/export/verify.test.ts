// Bundles of a tiny stand-in checkpoint, made by scripts/export/standin/bundles.py in three builders' forms.
import { createHash } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { main } from '../../src/cli/main.ts'
import { createEmbedder } from '../../src/embedder.ts'
import { loadBundle } from '../../src/model/bundle.ts'
import { goldenClip, loadGolden } from '../../src/verify/golden.ts'
import { type Check, verifyBundle } from '../../src/verify/verify.ts'

const bundles = fileURLToPath(new URL('bundles', import.meta.url))
const scratch: string[] = []
afterEach(async () => {
  for (const folder of scratch.splice(0)) await rm(folder, { recursive: true })
})

async function changed(form: string, file: string, change: (text: string) => string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'verify-'))
  scratch.push(folder)
  await cp(join(bundles, form), folder, { recursive: true })
  const text = change(await readFile(join(folder, file), 'utf8'))
  await writeFile(join(folder, file), text)
  if (file !== 'model.json') await enter(folder, file)
  return folder
}

/** Updates model.json to the file's size and hash, so that only its content can be found wrong. */
async function enter(folder: string, file: string): Promise<void> {
  const manifest = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'))
  const bytes = await readFile(join(folder, file))
  for (const entry of Object.values(manifest.files) as { path: string; sha256: string; bytes: number }[]) {
    if (entry.path !== file) continue
    entry.sha256 = createHash('sha256').update(bytes).digest('hex')
    entry.bytes = bytes.length
  }
  await writeFile(join(folder, 'model.json'), JSON.stringify(manifest))
}

async function verify(folder: string, device?: 'cpu' | 'cuda'): Promise<Check[]> {
  const checks: Check[] = []
  for await (const check of verifyBundle(folder, { device })) checks.push(check)
  return checks
}

describe.each([
  ['canonical', 0.99999],
  ['vss', 0.99999],
  ['tao', 0.99999],
  ['int8', 0.995],
])('a bundle in the %s form', (form, lowest) => {
  it('gives the vectors of its checkpoint', async () => {
    const checks = await verify(join(bundles, form), 'cpu')
    expect(checks.map(({ check, state }) => [check, state])).toEqual([
      ['files', 'ok'],
      ['tokens', 'ok'],
      ['cpu: signature', 'ok'],
      ['cpu: video', 'ok'],
      ['cpu: text', 'ok'],
    ])
  })

  it('gives them for batches and short rows too', async () => {
    const directory = join(bundles, form)
    const golden = await loadGolden(await loadBundle(directory))
    if (golden === undefined) throw new Error('no golden vectors')
    await using embedder = await createEmbedder({ model: directory })
    const items = [
      ...golden.clips.map(({ seed }) => ({ frames: goldenClip(seed, 8, 28, 28) })),
      ...golden.texts.map(({ text }) => ({ text })),
    ]
    const results = await embedder.embedMany(items)
    for (const [i, { vector }] of [...golden.clips, ...golden.texts].entries()) {
      const result = results[i]
      if (result?.status !== 'fulfilled') throw result?.reason
      expect(result.value.embedding.reduce((sum, x, k) => sum + x * (vector[k] ?? 0), 0)).toBeGreaterThan(
        lowest,
      )
    }
  })
})

describe('golden vectors', () => {
  it('differ for every input', async () => {
    const golden = await loadGolden(await loadBundle(join(bundles, 'canonical')))
    const kinds = golden === undefined ? [] : [golden.clips, golden.texts]
    expect(kinds).toHaveLength(2)
    for (const entries of kinds) {
      for (const [i, a] of entries.entries()) {
        for (const b of entries.slice(i + 1)) {
          expect(a.vector.reduce((sum, x, k) => sum + x * (b.vector[k] ?? 0), 0)).toBeLessThan(0.995)
        }
      }
    }
  })

  // The hash of the bytes that scripts/export/golden_clips.py generates.
  it.each([
    [0, 2, 28, '26fd36ae8b9d202e4fa5ac11389cbaab8c4fdae4e7906d4845cbe5a002183335'],
    [3, 8, 28, '235d3e5c9cdff71ecb6e50ee2251f19f9723a81430006e1ae43b79539870c1b2'],
    [65_535, 3, 33, 'e864a203236c7ed37be0e80384c49a322abaced62666fd156f64f0d85cdfadb6'],
  ])('clip %i of %i frames at %i is the one the exporter saw', (seed, frames, resolution, sha256) => {
    const planes = goldenClip(seed, frames, resolution, resolution).flatMap(({ data }) =>
      [0, 1, 2].flatMap((channel) => [...data].filter((_, i) => i % 3 === channel)),
    )
    expect(createHash('sha256').update(Uint8Array.from(planes)).digest('hex')).toBe(sha256)
  })
})

describe('verify finds', () => {
  it('a changed file', async () => {
    const other = (_: string, digit: string) => `"sha256": "${digit === '0' ? 1 : 0}`
    const folder = await changed('canonical', 'model.json', (text) => text.replace(/"sha256": "(.)/, other))
    expect((await verify(folder)).at(-1)).toMatchObject({
      check: 'files',
      state: 'failed',
      found: expect.stringContaining('has SHA-256'),
    })
  })

  it('another tokenizer', async () => {
    const folder = await changed('canonical', 'tokenizer.json', (text) => text.replace('"red"', '"reb"'))
    expect(await verify(folder, 'cpu')).toContainEqual(
      expect.objectContaining({
        check: 'tokens',
        state: 'failed',
        found: expect.stringContaining('red car'),
      }),
    )
  })

  it('vectors that are not the checkpoint’s', async () => {
    const folder = await changed('tao', 'golden.json', (text) => {
      const golden = JSON.parse(text)
      golden.clips[1].vector = golden.clips[0].vector
      return JSON.stringify(golden)
    })
    const checks = await verify(folder, 'cpu')
    expect(checks.find(({ check }) => check === 'cpu: video')?.state).toBe('failed')
    expect(checks.find(({ check }) => check === 'cpu: text')?.state).toBe('ok')
  })

  it.each([
    ['no JSON', () => '{'],
    ['an unknown rule', (text: string) => text.replace('ramps-1', 'ramps-2')],
    ['a short vector', (text: string) => text.replace(/"vector": "[^"]+"/, '"vector": "AACAPw=="')],
  ])('golden vectors with %s', async (_, change) => {
    const folder = await changed('canonical', 'golden.json', change)
    expect((await verify(folder)).at(-1)).toMatchObject({ check: 'golden vectors', state: 'failed' })
  })

  it('a signature that model.json does not describe', async () => {
    const folder = await changed('canonical', 'model.json', (text) =>
      text.replace('"frames": 8', '"frames": 7'),
    )
    expect((await verify(folder, 'cpu')).at(-1)).toMatchObject({ check: 'cpu: signature', state: 'failed' })
  })

  it('warnings of the exporter, without failing', async () => {
    const folder = await changed('canonical', 'model.json', (text) => {
      const manifest = JSON.parse(text)
      manifest.source.warnings = ['the checkpoint resizes otherwise']
      return JSON.stringify(manifest)
    })
    const checks = await verify(folder, 'cpu')
    expect(checks[1]).toEqual({
      check: 'conversion',
      state: 'note',
      found: 'the checkpoint resizes otherwise',
    })
    expect(checks.some(({ state }) => state === 'failed')).toBe(false)
  })

  it('that a CPU cannot run bf16, and fails only if the CPU was requested', async () => {
    const folder = join(bundles, 'bf16')
    const checks = await verify(folder)
    expect(checks.map(({ check, state }) => [check, state])).toContainEqual(['cpu', 'note'])
    expect(checks.filter(({ state }) => state === 'failed')).toEqual([])
    const asked = await verify(folder, 'cpu')
    expect(asked.at(-1)).toMatchObject({
      check: 'cpu',
      state: 'failed',
      found: expect.stringContaining('bf16'),
    })
  })

  it('that no GPU can run int8, and fails only if a GPU was requested', async () => {
    const folder = join(bundles, 'int8')
    const checks = await verify(folder)
    expect(checks).toContainEqual({
      check: 'cuda',
      state: 'note',
      found: expect.stringContaining('operators that only ONNX Runtime has'),
    })
    expect(checks.filter(({ state }) => state === 'failed')).toEqual([])
    expect((await verify(folder, 'cuda')).at(-1)).toMatchObject({ check: 'cuda', state: 'failed' })
  })

  it('that the bundle has no golden vectors, and checks the rest', async () => {
    const folder = await changed('canonical', 'model.json', (text) => {
      const manifest = JSON.parse(text)
      delete manifest.files.golden
      return JSON.stringify(manifest)
    })
    const checks = await verify(folder, 'cpu')
    expect(checks.map(({ check, state }) => [check, state])).toContainEqual(['golden vectors', 'note'])
    expect(checks.at(-1)).toMatchObject({ check: 'cpu: text', state: 'ok', found: '2 unit vectors' })
  })
})

describe('the commands', () => {
  async function command(...argv: string[]) {
    const out: string[] = []
    const err: string[] = []
    const code = await main(argv, {
      stdout: { write: (text) => out.push(text) },
      stderr: { write: (text) => err.push(text) },
      signal: new AbortController().signal,
    })
    return { code, out: out.join(''), err: err.join('') }
  }

  it('verify exits with 0 on success and with 1 on failure', async () => {
    const good = await command('verify', '--model', join(bundles, 'vss'), '--device', 'cpu', '--json')
    expect(good).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(good.out)).toMatchObject({ passed: true })
    const bad = await command('verify', '--model', join(bundles, 'none'))
    expect(bad).toMatchObject({ code: 1, err: '' })
    expect(bad.out).toContain('not found')
  })

  it('a missing device is a note, unless it was requested', async () => {
    const { code, out } = await command('verify', '--model', join(bundles, 'canonical'))
    expect(code).toBe(0)
    expect(out).toMatch(/^(note {3}cuda: |ok {5}cuda: signature)/m)
  })

  it.each([
    [['verify'], '--model DIR is missing'],
    [['verify', '--model', bundles, '--device', 'tpu'], 'expected auto, cpu or cuda'],
    [['export', '--out', 'x'], 'CHECKPOINT is missing'],
    [['export', 'x', 'y'], 'unexpected "y"'],
    [['export', 'x', '--checkpoint', 'y'], 'unexpected "x"'],
    [['export', 'x', '--out', bundles], 'exists'],
    [['export', 'x', '--out', 'new', '--precision', 'int4'], 'found "int4"'],
    [['export', 'x', '--out', 'new', '--adapter', 'both'], 'found "both"'],
  ])('%j is wrong usage', async (argv, words) => {
    const { code, err } = await command(...argv)
    expect(code).toBe(2)
    expect(err).toContain(words)
  })

  it('export passes its options to Python and returns its exit code', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'verify-'))
    scratch.push(folder)
    const python = join(folder, 'python')
    await writeFile(python, `#!/bin/sh\nprintf '%s\\n' "$@" >${folder}/seen\necho told >&2\nexit 3\n`, {
      mode: 0o755,
    })
    const given = [
      '--out',
      join(folder, 'new'),
      '--precision',
      'fp32',
      '--yes-run-code',
      'ab',
      '--allow',
      'c@d',
    ]
    expect(await command('export', 'a/b', ...given, '--python', python)).toEqual({
      code: 3,
      out: '',
      err: 'told\n',
    })
    const seen = (await readFile(join(folder, 'seen'), 'utf8')).trim().split('\n')
    expect(seen[0]).toMatch(/scripts\/export\/main\.py$/)
    expect(seen.slice(1)).toEqual(['a/b', ...given])
  })

  it.each([
    ['yes', true, 0],
    ['no', false, 3],
  ])(
    'on a terminal export asks once and goes on in the same run; answered %s',
    async (line, answer, code) => {
      const folder = await mkdtemp(join(tmpdir(), 'verify-'))
      scratch.push(folder)
      const python = join(folder, 'python')
      const program = `printf '%s\\n' "$@" >>${folder}/seen
echo a banner
echo hashes >&2
echo '{"fingerprint":"0123456789abcdef","files":7}'
read -r answer
echo "$answer" >${folder}/answer
test "$answer" = yes || exit 3
`
      await writeFile(python, `#!/bin/sh\n${program}`, { mode: 0o755 })
      const told: string[] = []
      const found = await main(['export', 'a/b', '--yes-run-code', 'wrong', '--python', python], {
        stdout: { write: () => true },
        stderr: { write: (text) => told.push(text) > 0 },
        signal: new AbortController().signal,
        ask: async (question) => {
          told.push(question)
          return answer
        },
      })
      expect(found).toBe(code)
      expect(told).toContain('a banner\n')
      const others = told.filter((text) => text !== 'a banner\n')
      expect(others).toEqual(['hashes\n', 'Run these 7 Python files on this machine? [y/N] '])
      const seen = (await readFile(join(folder, 'seen'), 'utf8')).trim().split('\n')
      expect(seen.slice(1)).toEqual(['a/b', '--yes-run-code', 'wrong', '--ask'])
      expect((await readFile(join(folder, 'answer'), 'utf8')).trim()).toBe(line)
    },
  )

  it('export terminates Python when it is aborted', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'verify-'))
    scratch.push(folder)
    const python = join(folder, 'python')
    await writeFile(
      python,
      '#!/bin/sh\ntrap "echo cleaned >&2; exit 143" TERM\necho ready >&2\nwhile :; do sleep 0.05; done\n',
      {
        mode: 0o755,
      },
    )
    const abort = new AbortController()
    const err: string[] = []
    const code = await main(
      ['export', '--checkpoint', 'a/b', '--out', join(folder, 'new'), '--python', python],
      {
        stdout: { write: () => true },
        stderr: { write: (text) => (err.push(text) === 1 ? abort.abort() : true) },
        signal: abort.signal,
      },
    )
    expect(code).toBe(130)
    expect(err.join('')).toBe('ready\ncleaned\n\nstopped\n')
  })

  it('export without Python says what to install', async () => {
    const { code, err } = await command(
      'export',
      ...['--checkpoint', 'x', '--out', join(tmpdir(), 'never'), '--python', '/nowhere/python3'],
    )
    expect(code).toBe(1)
    expect(err).toContain('/nowhere/python3 cannot be run')
    expect(err).toContain('--python')
  })
})
