/** The command `export`: runs the exporter, which is written in Python. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { ModelError } from '../errors.ts'
import { type Command, type Io, parse, UsageError } from './command.ts'

const precisions = ['auto', 'fp32', 'fp16', 'mixed', 'bf16', 'int8']

const usage = `Usage: cosmos-embed export CHECKPOINT [OPTIONS]

Converts a Cosmos-Embed1 checkpoint to a model bundle, and verifies that the bundle gives the checkpoint's vectors. The
conversion runs in Python 3.11 to 3.13, in a virtual environment that is created on first use.

  CHECKPOINT             nvidia/Cosmos-Embed1-224p, -336p, -448p, -448p-anomaly-detection, another hub id, or a folder
  --out DIR              folder of the bundle (default: the checkpoint's name in models/)
  --precision NAME       ${precisions.join(', ')} (default: auto, which is bf16 if every GPU of this
                         machine supports it, else fp16 if it is accurate enough, else mixed); int8 is for CPUs only
  --revision COMMIT      revision of a hub checkpoint, 40 hex digits (default: the known one)
  --yes-run-code DIGITS  accept the checkpoint's own code, which the conversion runs, by its fingerprint. Without it, the
                         files' hashes are shown, and you are asked on a terminal; without a terminal, the export stops
                         with exit code 3 (default: ask). Code whose hashes NVIDIA publishes needs no consent
  --videos PATH          also verify with this video or folder of videos; repeatable (default: generated clips only)
  --adapter ACTION       merge or ignore a LoRA adapter beside the weights (default: stop if there is one)
  --base ID|DIR          checkpoint that a bare adapter was trained on (default: the known one it names)
  --base-revision COMMIT revision of --base, 40 hex digits (default: the known one)
  --allow ID@COMMIT      hub repository whose files the checkpoint's code may read; repeatable (default: none)
  --pinned FILE          list of known checkpoints and their hashes (default: the one of this package)
  --id NAME              id of the model in the bundle (default: the checkpoint's name)
  --python FILE          Python interpreter (default: python3)

The variables HF_TOKEN, HF_ENDPOINT and HF_HOME of Hugging Face's tools and those of pip are respected.
`

const script = fileURLToPath(new URL('../../scripts/export/main.py', import.meta.url))
const single = [
  'out',
  'precision',
  'revision',
  'yes-run-code',
  'adapter',
  'base',
  'base-revision',
  'pinned',
  'id',
] as const
const repeated = ['videos', 'allow'] as const

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, {
    checkpoint: { type: 'string' },
    out: { type: 'string' },
    precision: { type: 'string' },
    revision: { type: 'string' },
    'yes-run-code': { type: 'string' },
    adapter: { type: 'string' },
    base: { type: 'string' },
    'base-revision': { type: 'string' },
    pinned: { type: 'string' },
    id: { type: 'string' },
    videos: { type: 'string', multiple: true },
    allow: { type: 'string', multiple: true },
    python: { type: 'string' },
  })
  // --checkpoint NAME is the older form of the positional argument.
  const [checkpoint, ...more] = [
    ...(values.checkpoint === undefined ? [] : [values.checkpoint]),
    ...positionals,
  ]
  if (checkpoint === undefined) throw new UsageError('CHECKPOINT is missing')
  if (more.length > 0) throw new UsageError(`unexpected "${more[0]}"`)
  const { out, precision, adapter, python = 'python3' } = values
  if (out !== undefined && existsSync(out) && !existsSync(join(out, 'model.json'))) {
    throw new UsageError(`--out: ${out} exists and is not a bundle; expected a new folder`)
  }
  if (precision !== undefined && !precisions.includes(precision)) {
    throw new UsageError(`--precision: expected ${precisions.join(', ')}, found "${precision}"`)
  }
  if (adapter !== undefined && adapter !== 'merge' && adapter !== 'ignore') {
    throw new UsageError(`--adapter: expected merge or ignore, found "${adapter}"`)
  }
  const options = [
    ...single.flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]])),
    ...repeated.flatMap((name) => (values[name] ?? []).flatMap((value) => [`--${name}`, value])),
  ]
  return runPython(python, [script, checkpoint, ...options, ...(io.ask === undefined ? [] : ['--ask'])], io)
}

/** Runs the exporter, passes its stderr on, answers its question, and terminates it when the command is aborted. */
function runPython(program: string, args: string[], io: Io): Promise<number> {
  return new Promise((resolve, reject) => {
    // In a process group of its own, so that Ctrl-C reaches Python only once, as the SIGTERM below, and it can clean up.
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    const stop = () => child.kill('SIGTERM')
    io.signal.addEventListener('abort', stop, { once: true })
    // It may end without having read what was written to it.
    child.stdin.on('error', () => {})
    if (io.ask === undefined) child.stdin.end()
    const lines = createInterface({ input: child.stdout })
    lines.on('line', async (line) => {
      const files = filesToAccept(line)
      if (files === undefined) return void io.stderr.write(`${line}\n`)
      await setImmediate() // the hashes, written to stderr before this line, are on the terminal by then
      const yes = await io.ask?.(`Run these ${files} Python files on this machine? [y/N] `).catch(() => false)
      child.stdin.end(yes ? 'yes\n' : 'no\n')
    })
    child.stderr.on('data', (text) => io.stderr.write(String(text)))
    child.once('error', (cause) => {
      const advice = 'install Python 3.11 to 3.13, or name an interpreter with --python'
      reject(new ModelError(`${program} cannot be run (${cause.message}): ${advice}`, { cause }))
    })
    child.once('close', (code) => {
      io.signal.removeEventListener('abort', stop)
      if (io.signal.aborted) reject(io.signal.reason)
      else resolve(code ?? 1)
    })
  })
}

/** How many files the exporter asks about, or undefined for a line that is no question: an interpreter may print others. */
function filesToAccept(line: string): number | undefined {
  try {
    const { files } = JSON.parse(line) as { files?: number }
    return files
  } catch {
    return undefined
  }
}

export const command: Command = {
  name: 'export',
  usage,
  run,
}
