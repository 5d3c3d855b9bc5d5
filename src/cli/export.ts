import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { ModelError } from '../errors.ts'
import { type Command, type Io, parse, UsageError } from './command.ts'

const precisions = ['auto', 'fp32', 'fp16', 'mixed', 'bf16', 'int8']

const usage = `Usage: cosmos-embed export CHECKPOINT [OPTIONS]

Converts a Cosmos-Embed1 checkpoint to a model bundle, and proves that the bundle gives the checkpoint's vectors.
Python 3.11 to 3.13 does the work, in a virtual environment of its own that is made on first use.

  CHECKPOINT            nvidia/Cosmos-Embed1-224p, -336p, -448p, -448p-anomaly-detection, another hub id, or a folder
  --out DIR             the bundle's folder (default: models/ and the checkpoint's name)
  --precision NAME      ${precisions.join(', ')} (default: auto, which is bf16 where every card
                        of this machine computes it, else fp16 if that holds, else mixed); int8 is for CPUs
  --revision COMMIT     of a hub checkpoint, 40 hex digits (default: a known one)
  --yes-run-code DIGITS fingerprint of the checkpoint's own code, which converting runs. Without it the files' hashes
                        are shown, and on a terminal you are asked; elsewhere it stops (exit code 3). Code whose
                        hashes NVIDIA itself publishes is not asked about
  --videos PATH         a video or a folder of videos of yours to prove the conversion with; may be repeated
  --adapter WHAT        merge or ignore a LoRA adapter that lies beside the weights
  --base ID|DIR         the checkpoint that an adapter alone was trained on (--base-revision COMMIT)
  --allow ID@COMMIT     a hub repository whose files the checkpoint's code may read; may be repeated
  --pinned FILE         list of known checkpoints and their hashes (default: the package's own)
  --id NAME             the model's id in the bundle (default: the checkpoint's name)
  --python FILE         Python interpreter (default: python3)

HF_TOKEN, HF_ENDPOINT and HF_HOME mean what they mean to Hugging Face's tools; pip's variables what they mean to pip.
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
const notAccepted = 3

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
  // --checkpoint NAME is the older way to say it.
  const [checkpoint, ...more] = [
    ...(values.checkpoint === undefined ? [] : [values.checkpoint]),
    ...positionals,
  ]
  if (checkpoint === undefined) throw new UsageError('CHECKPOINT is missing')
  if (more.length > 0) throw new UsageError(`unexpected "${more[0]}"`)
  const { out, precision, adapter, python = 'python3' } = values
  if (out !== undefined && existsSync(out) && !existsSync(join(out, 'model.json'))) {
    throw new UsageError(`--out: ${out} exists; expected a folder that does not`)
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
  const first = await runPython(python, [script, checkpoint, ...options], io)
  if (first.code !== notAccepted || io.ask === undefined) return first.code
  const { fingerprint, files } = JSON.parse(first.stdout) as { fingerprint: string; files: number }
  if (!(await io.ask(`Run these ${files} Python files on this machine? [y/N] `))) return notAccepted
  const accepted = [
    ...options.filter((_, i) => !isOf('--yes-run-code', options, i)),
    '--yes-run-code',
    fingerprint,
  ]
  return (await runPython(python, [script, checkpoint, ...accepted], io)).code
}

/** Whether word `index` is the option `name` or its value. */
function isOf(name: string, words: readonly string[], index: number): boolean {
  return words[index] === name || words[index - 1] === name
}

/** Runs it with its words on stderr, and stops it when the command is stopped. */
function runPython(program: string, args: string[], io: Io): Promise<{ code: number; stdout: string }> {
  return new Promise((resolve, reject) => {
    // A group of its own: Ctrl-C reaches Python once, as our SIGTERM, and it cleans up.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const stop = () => child.kill('SIGTERM')
    io.signal.addEventListener('abort', stop, { once: true })
    let stdout = ''
    child.stdout.on('data', (text) => {
      stdout += String(text)
    })
    child.stderr.on('data', (text) => io.stderr.write(String(text)))
    child.once('error', (cause) => {
      const advice = 'install Python 3.11 to 3.13, or name an interpreter with --python'
      reject(new ModelError(`${program} cannot be run (${cause.message}): ${advice}`, { cause }))
    })
    child.once('close', (code) => {
      io.signal.removeEventListener('abort', stop)
      if (io.signal.aborted) reject(io.signal.reason)
      else resolve({ code: code ?? 1, stdout })
    })
  })
}

export const command: Command = {
  name: 'export',
  summary: 'Convert a Cosmos-Embed1 checkpoint to a model bundle',
  usage,
  run,
}
