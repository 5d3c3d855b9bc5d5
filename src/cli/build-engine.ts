import binding from '#binding'
import { buildModel } from '../device/build-model.ts'
import type { Precision } from '../options.ts'
import { buildEngines } from '../tensorrt/engine-builder.ts'
import { TOWERS } from '../tensorrt/sidecar.ts'
import { type Command, type Io, integerOption, parse, UsageError } from './command.ts'

const usage = `Usage: cosmos-embed build-engine --model DIR [OPTIONS]

Builds the TensorRT engines of a model bundle for a GPU of this machine. It takes minutes, happens in a process of its
own, and what comes out is tried before it is kept. Nothing is built when engines that fit are there already.

  --model DIR        model bundle
  --device N         number of the GPU (default: 0)
  --precision NAME   fp32, fp16, bf16 or fp8 (default: what each graph is in; TensorRT 11 can do no other)
  --max-batch N      clips of the largest batch, up to 1024 (default: 8)
  --out DIR          where the engines go (default: DIR/engines of the bundle)
  --trtexec FILE     TensorRT's builder (default: TENSORRT_ROOT/bin, PATH, /usr/src/tensorrt/bin, beside the library;
                     without one, Python with TensorRT)
  --force            build what is there already, too

COSMOS_EMBED_TENSORRT names the library that the engines are for, COSMOS_EMBED_CUDA the driver's.
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
  const build = { model, device, precision, maxBatch, out, trtexec, force, onLine, signal: io.signal }
  const { plans, built } = await buildModel(build, binding, buildEngines)
  for (const tower of TOWERS) {
    const { path, sidecar } = plans[tower]
    const is = built ? '' : 'is there already: '
    onLine(`${tower}: ${is}${path} (${sidecar.precision}, batches up to ${sidecar.maxBatch})`)
  }
  return 0
}

export const command: Command = {
  name: 'build-engine',
  summary: 'build the TensorRT engines of a model for a GPU of this machine',
  usage,
  run,
}
