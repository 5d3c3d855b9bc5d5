/** Programs that stand in for `cosmos-embed-decoder` and end, hang or talk nonsense when they are asked for a clip. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import binding, { type Binding } from '#binding'
import { VERSION } from '../../src/base/version.ts'

const header = readFileSync(path.join(import.meta.dirname, '../../native/isolation/channel.h'), 'utf8')
const protocol = Number(/kProtocolVersion = (\d+)/.exec(header)?.[1])

const behaviours = {
  abort: 'process.abort()',
  // Opens the video, and ends at its first clip.
  'abort at a clip': "channel.write(numbers(0x43454431, 6, 0)); channel.once('data', () => process.abort())",
  exit: 'process.exit(3)',
  hang: '',
  nonsense: "channel.write(Buffer.from('this is no message'))",
} as const

/** The binding, with decoders of videos that greet like real ones and then do this at their first request. */
export function withHostileDecoders(behaviour: keyof typeof behaviours): Binding {
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-decoder-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const executable = path.join(folder, behaviour)
  const script = `#!${process.execPath}
const channel = new (require('node:net').Socket)({ fd: 3 })
const version = Buffer.from(${JSON.stringify(VERSION)})
const numbers = (...values) => Buffer.from(new Uint32Array(values).buffer)
const body = Buffer.concat([numbers(${protocol}, version.length), version, Buffer.from([1, 1, 1, 1])])
channel.write(Buffer.concat([numbers(0x43454431, 1, body.length), body]))
channel.once('data', () => { ${behaviours[behaviour]} })
channel.on('end', () => process.exit(0))
`
  writeFileSync(executable, script)
  chmodSync(executable, 0o755)
  return {
    ...binding,
    openDecoderPool: (options) => binding.openDecoderPool({ ...options, executable }),
    // A server embeds a picture before it is ready.
    decodeClip: (source, { decoders, ...options }) =>
      binding.decodeClip(source, { ...options, ...(!('images' in source) && decoders && { decoders }) }),
  }
}
