/** The command `build-engine`: builds a model's TensorRT engines for a GPU. */
import binding from '#binding'
import { buildModel } from '../device/build-model.ts'
import type { Precision } from '../options.ts'
import { buildEngines } from '../tensorrt/engine-builder.ts'
import { TOWERS } from '../tensorrt/sidecar.ts'
import { type Command, type Io, integerOption, parse, UsageError } from './command.ts'

const usage = `Usage: cosmos-embed build-engine --model DIR [OPTIONS]

Builds the TensorRT engines of a model bundle for a GPU of this machine. A build takes minutes, runs in a child process,
and keeps only plans that ran in a trial. Nothing is built if the bundle already has plans that fit this machine.

  --model DIR            model bundle (required)
  --device N             number of the GPU (default: 0)
  --precision NAME       fp32, fp16, bf16 or fp8 (default: the precision of each graph; TensorRT 11 supports no other)
  --max-batch N          maximum number of clips per batch, up to 1024 (default: 8)
  --out DIR              folder for the plans (default: "engines" in the bundle)
  --trtexec FILE         TensorRT's trtexec (default: searched in TENSORRT_ROOT/bin, PATH, /usr/src/tensorrt/bin and
                         beside the library; if there is none, Python's package tensorrt builds)
  --force                rebuild plans that already fit (default: off)

COSMOS_EMBED_TENSORRT names the TensorRT library to build for, COSMOS_EMBED_CUDA the driver's library.
`

const precisions: readonly Precision[] = ['fp32', 'fp16', 'bf16', 'fp8']

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, {
    model: { type: 'string' },
    device: { type: 'string' },
    precision: { type: 'string' },
    'max-batch': { type: 'string' },
    out: { type: 'string' },
    trtexec: { type: 'string' },
    force: { type: 'boolean' },
  })
  if (positionals.length > 0) {
    throw new UsageError(`unexpected "${positionals[0]}"; the bundle is --model DIR`)
  }
  const { model, out, trtexec, force } = values
  if (model === undefined) throw new UsageError('--model DIR is missing')
  const device = integerOption('device', values.device, 0)
  const maxBatch = integerOption('max-batch', values['max-batch'], 1)
  const precision = precisions.find((name) => name === values.precision)
  if (values.precision !== undefined && precision === undefined) {
    throw new UsageError(`--precision: expected ${precisions.join(', ')}, found "${values.precision}"`)
  }
  const onLine = (line: string) => io.stderr.write(`${line}\n`)
  const options = { model, device, precision, maxBatch, out, trtexec, force, onLine, signal: io.signal }
  const { plans, built } = await buildModel(options, binding, buildEngines)
  for (const tower of TOWERS) {
    const { path, sidecar } = plans[tower]
    const state = built ? '' : 'already built: '
    onLine(`${tower}: ${state}${path} (${sidecar.precision}, batches up to ${sidecar.maxBatch})`)
  }
  return 0
}

export const command: Command = {
  name: 'build-engine',
  usage,
  run,
}
