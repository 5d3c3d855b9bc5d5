import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { ModelError } from '../errors.ts'
import { type Command, type Io, parse, UsageError } from './command.ts'

const usage = `Usage: cosmos-embed export --checkpoint ID|DIR --out DIR [OPTIONS]

Converts a Cosmos-Embed1 checkpoint to a model bundle, and proves that the bundle gives the checkpoint's vectors.
Python 3.11 to 3.13 does the work, in a virtual environment of its own that is made on first use.

  --checkpoint ID|DIR   nvidia/Cosmos-Embed1-224p, -336p, -448p, another hub id, or a folder
  --out DIR             the bundle's folder; must not exist
  --precision NAME      fp16, fp32 or bf16 (default: fp16; bf16 needs a GPU to run)
  --revision COMMIT     of a hub checkpoint, 40 hex digits (default: a known one)
  --run-code DIGITS     fingerprint of the checkpoint's own code, which converting runs: the first run shows
                        the files' hashes and the fingerprint, and stops (exit code 3)
  --id NAME             the model's id in the bundle (default: the checkpoint's name)
  --python FILE         Python interpreter (default: python3)

HF_TOKEN, HF_ENDPOINT and HF_HOME mean what they mean to Hugging Face's tools; pip's variables what they mean to pip.
`

const script = fileURLToPath(new URL('../../scripts/export/main.py', import.meta.url))
const passedOn = ['checkpoint', 'out', 'precision', 'revision', 'run-code', 'id'] as const

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, {
    checkpoint: { type: 'string' },
    out: { type: 'string' },
    precision: { type: 'string' },
    revision: { type: 'string' },
    'run-code': { type: 'string' },
    id: { type: 'string' },
    python: { type: 'string' },
  })
  if (positionals.length > 0) throw new UsageError(`unexpected "${positionals[0]}"`)
  for (const name of ['checkpoint', 'out'] as const) {
    if (values[name] === undefined) throw new UsageError(`--${name} is missing`)
  }
  if (values.out !== undefined && existsSync(values.out)) {
    throw new UsageError(`--out: ${values.out} exists; expected a folder that does not`)
  }
  const precision = values.precision
  if (precision !== undefined && !['fp32', 'fp16', 'bf16'].includes(precision)) {
    throw new UsageError(`--precision: expected fp32, fp16 or bf16, found "${precision}"`)
  }
  const options = passedOn.flatMap((name) => {
    const value = values[name]
    return value === undefined ? [] : [`--${name}`, value]
  })
  return await python(values.python ?? 'python3', [script, ...options], io)
}

/** Runs it with its words on stderr, and stops it when the command is stopped. */
function python(program: string, args: string[], io: Io): Promise<number> {
  return new Promise((resolve, reject) => {
    // A group of its own: Ctrl-C reaches Python once, as our SIGTERM, and it cleans up.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const stop = () => child.kill('SIGTERM')
    io.signal.addEventListener('abort', stop, { once: true })
    child.stdout.on('data', (text) => io.stderr.write(String(text)))
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

export const command: Command = {
  name: 'export',
  summary: 'Convert a Cosmos-Embed1 checkpoint to a model bundle',
  usage,
  run,
}
