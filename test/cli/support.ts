import { Readable } from 'node:stream'
import { main } from '../../src/cli/main.ts'

/** Runs a command as the program does. Returns its output and exit code. */
export async function run(
  argv: string[],
  signal: AbortSignal = new AbortController().signal,
  stdin: Iterable<Uint8Array> = [],
) {
  const result = { code: 0, stdout: '', stderr: '' }
  const sink = (stream: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      result[stream] += text
    },
  })
  result.code = await main(argv, {
    stdin: Readable.from(stdin),
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    signal,
  })
  return result
}
