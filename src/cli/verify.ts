/** The command `verify`: checks a model bundle. */
import { type Check, verifyBundle } from '../verify/verify.ts'
import { type Command, deviceOption, type Io, parse, UsageError } from './command.ts'

const usage = `Usage: cosmos-embed verify --model DIR [OPTIONS]

Checks a model bundle: the sizes and hashes of its files, the graphs' inputs and outputs, unit length, and that stored
inputs give the vectors of the checkpoint on every device of this machine. Exit code 1 if a check fails.

  --model DIR            model bundle (required)
  --device NAME          cpu or cuda (default: every device of this machine)
  --json                 print the findings as JSON on stdout (default: as text)
`

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, {
    model: { type: 'string' },
    device: { type: 'string' },
    json: { type: 'boolean' },
  })
  if (positionals.length > 0)
    throw new UsageError(`unexpected "${positionals[0]}"; the bundle is --model DIR`)
  if (values.model === undefined) throw new UsageError('--model DIR is missing')
  const device = deviceOption(values.device)
  const checks: Check[] = []
  const options = { device: device === 'auto' ? undefined : device, signal: io.signal }
  for await (const check of verifyBundle(values.model, options)) {
    checks.push(check)
    if (!values.json) io.stdout.write(`${check.state.padEnd(6)} ${check.check}: ${check.found}\n`)
  }
  const passed = !checks.some(({ state }) => state === 'failed')
  if (values.json) io.stdout.write(`${JSON.stringify({ passed, checks }, null, 2)}\n`)
  return passed ? 0 : 1
}

export const command: Command = {
  name: 'verify',
  usage,
  run,
}
