/**
 * Everything that the package's FFmpeg allocates for a decode is counted, including buffers that it allocates itself. A run of
 * ONNX Runtime that the system has no memory for fails alone, although the addon brings its own C++ library.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { prebuild, run } from './support.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-memory-'))
afterAll(() => rmSync(folder, { recursive: true }))
const MiB = 1024 ** 2

/** A small transport stream with many streams, all of which FFmpeg starts to decode while probing. */
function manyStreams(count: number, pictures: number): Buffer {
  const pids = Array.from({ length: count }, (_, i) => 0x200 + i)
  const packets = [section(0, tableOf(0, [0, 1, 0xe1, 0])), section(0x100, programMap(pids))]
  for (let picture = 0; picture < pictures; picture++) {
    for (const pid of pids) packets.push(...pes(pid, accessUnit(picture), picture))
  }
  return Buffer.concat(packets)
}

class Bits {
  #bits = ''
  u(count: number, value: number): this {
    this.#bits += value.toString(2).padStart(count, '0')
    return this
  }
  ue(...values: number[]): this {
    for (const value of values) this.u(2 * Math.floor(Math.log2(value + 1)) + 1, value + 1)
    return this
  }
  /** A NAL unit with emulation prevention bytes. */
  unit(head: number): Buffer {
    const bits = `${this.#bits}1`
    const bytes = bits.match(/.{1,8}/g)?.map((byte) => Number.parseInt(byte.padEnd(8, '0'), 2)) ?? []
    const escaped: number[] = []
    for (const byte of bytes) {
      if (byte <= 3 && escaped.at(-1) === 0 && escaped.at(-2) === 0) escaped.push(3)
      escaped.push(byte)
    }
    return Buffer.from([0, 0, 0, 1, head, ...escaped])
  }
}

/** An H.264 access unit of 8192 × 4352 pixels that contains only the slice header. */
function accessUnit(picture: number): Buffer {
  const sps = new Bits().u(24, 0x4d003e).ue(0, 0, 2, 4).u(1, 0).ue(511, 271).u(5, 0b11100)
  const pps = new Bits().ue(0, 0).u(2, 0).ue(0, 0, 0).u(3, 0).ue(0, 0, 0).u(3, 0)
  const slice = new Bits()
    .ue(0, 7, 0)
    .u(4, 0)
    .ue(picture % 2)
    .u(2, 0)
    .ue(0)
  const delimiter = Buffer.from([0, 0, 0, 1, 9, 0xf0])
  return Buffer.concat([delimiter, sps.unit(0x67), pps.unit(0x68), slice.unit(0x65), Buffer.alloc(32, 0x80)])
}

function programMap(pids: number[]): number[] {
  const pid = (value: number) => [0xe0 | (value >> 8), value & 255]
  return tableOf(2, [...pid(0x200), 0xf0, 0, ...pids.flatMap((value) => [0x1b, ...pid(value), 0xf0, 0])])
}

function tableOf(id: number, body: number[]): number[] {
  const length = body.length + 9
  return [id, 0xb0 | (length >> 8), length & 255, 0, 1, 0xc1, 0, 0, ...body]
}

function section(pid: number, table: number[]): Buffer {
  let crc = 0xffffffff
  for (const byte of table) {
    crc ^= byte << 24
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1
  }
  const packet = Buffer.alloc(188, 0xff)
  packet.set([0x47, 0x40 | (pid >> 8), pid & 255, 0x10, 0, ...table])
  packet.writeInt32BE(crc, 5 + table.length)
  return packet
}

/** Puts the picture into one PES packet of one transport packet. */
function pes(pid: number, unit: Buffer, picture: number): Buffer[] {
  const pts = 90_000 + 3_600 * picture
  const time = [
    0x21 | ((pts >> 29) & 14),
    pts >> 22,
    ((pts >> 14) & 254) | 1,
    pts >> 7,
    ((pts << 1) & 254) | 1,
  ]
  const data = Buffer.concat([Buffer.from([0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, ...time]), unit])
  const stuffing = 183 - data.length
  const head = [0x47, 0x40 | (pid >> 8), pid & 255, 0x30 | (picture & 15), stuffing, 0]
  return [Buffer.concat([Buffer.from(head), Buffer.alloc(stuffing - 1, 0xff), data])]
}

const script = `
const { decodeClip } = require(process.argv[1])
const limits = { maxBytes: Number(process.argv[3]) }
decodeClip({ path: process.argv[2] }, { frames: 8, height: 8, width: 8, limits }).promise.then(
  () => ({}),
  ({ code, message }) => ({ code, message }),
).then((outcome) => console.log(JSON.stringify({ ...outcome, peak: process.resourceUsage().maxRSS * 1024 })))
`

describe('the memory of a decode', () => {
  it('is bounded while FFmpeg probes sixteen streams of the largest pictures', {
    timeout: 120_000,
  }, () => {
    const file = path.join(folder, 'many.ts')
    writeFileSync(file, manyStreams(16, 30))
    const addon = path.join(prebuild, 'cosmos-embed.glibc.node')
    const { status, stdout, stderr } = run(process.execPath, ['-e', script, addon, file, `${MiB}`])
    expect(status, stderr).toBe(0)
    const { code, message, peak } = JSON.parse(stdout)
    expect(code).toBe('limit')
    expect(message).toMatch(
      /^(decoding needs|the streams' pictures need) more memory than the limit maxBytes of 1048576 bytes/,
    )
    // The limit, its allowance of 256 MiB, and Node.js itself. Without the limit it is 2.5 GB.
    expect(peak).toBeLessThan(800 * MiB)
  })
})

const exhausting = `
const [addon, library, video, text] = process.argv.slice(1)
const { createEngine } = require(addon)
const model = { video, text, frames: 2, height: 4, width: 4, embeddingDim: 4, padTokenId: 0 }
const encode = (engine, tokens) => engine.encodeText([Int32Array.from(tokens)]).promise.then(
  ([first]) => ({ first }),
  ({ code, message }) => ({ code, message }),
)
createEngine({ backend: 'onnxruntime', library, ...model }).promise.then(async (engine) => {
  console.log(JSON.stringify([await encode(engine, [6, 7]), await encode(engine, [5, 6])]))
  await engine.close()
})
`

describe('the memory of a run', () => {
  it('is refused where the system does not have it, and the next run works', () => {
    const goldens = path.join(import.meta.dirname, '../../native/test/goldens')
    const { status, stdout, stderr } = run(process.execPath, [
      ...[
        '-e',
        exhausting,
        path.join(prebuild, 'cosmos-embed.glibc.node'),
        path.join(prebuild, 'libonnxruntime.so.1'),
      ],
      // The ids 6 and 7 make this graph ask for more memory than a processor can address.
      ...['video_canonical.onnx', 'text_exhausting.onnx'].map((name) => path.join(goldens, name)),
    ])
    expect(status, stderr).toBe(0)
    expect(JSON.parse(stdout)).toEqual([
      { code: 'out_of_memory', message: expect.stringContaining('ONNX Runtime failed') },
      { first: expect.closeTo(11 / Math.hypot(11, 2, 2, 1), 4) },
    ])
  })
})
