// What the card really reaches in dense bf16: eight matrix products in a row, run by trtexec.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'

const size = 8192
const layers = 8
const BFLOAT16 = 16

/** @returns {{ tflops: number } | { reason: string }} */
export function bf16Peak() {
  const trtexec = process.env.TENSORRT_ROOT
    ? path.join(process.env.TENSORRT_ROOT, 'bin', 'trtexec')
    : 'trtexec'
  const folder = mkdtempSync(path.join(tmpdir(), 'bf16-peak-'))
  try {
    const onnx = path.join(folder, 'matmul.onnx')
    writeFileSync(onnx, matrixProducts())
    const { status, stdout, error } = spawnSync(
      trtexec,
      [`--onnx=${onnx}`, '--stronglyTyped', '--useCudaGraph', '--noDataTransfers', '--iterations=50'],
      { encoding: 'utf8', maxBuffer: 1 << 26 },
    )
    if (error) return { reason: `${trtexec}: ${error.code}` }
    const milliseconds = /GPU Compute Time:.*?median = ([\d.]+) ms/.exec(stdout)?.[1]
    if (status !== 0 || !milliseconds)
      return { reason: `trtexec ended with ${status} and printed no GPU Compute Time` }
    return { tflops: (layers * 2 * size ** 3) / (Number(milliseconds) / 1000) / 1e12 }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** An ONNX model, written field by field: x → x·w → x·w·w → …, [size, size], bf16. */
export function matrixProducts() {
  // Small numbers that stay small: 2^-13 times a row of 8192 ones.
  const weights = Buffer.alloc(2 * size * size)
  for (let i = 0; i < weights.length; i += 2) weights.writeUInt16LE(0x3900, i)
  const name = (i) => (i === 0 ? 'x' : i === layers ? 'y' : `x${i}`)
  const nodes = Array.from({ length: layers }, (_, i) =>
    bytes(1, text(1, name(i)), text(1, 'w'), text(2, name(i + 1)), text(4, 'MatMul')),
  )
  const tensorType = bytes(
    1,
    varint(1, BFLOAT16),
    bytes(2, bytes(1, varint(1, size)), bytes(1, varint(1, size))),
  )
  const value = (field, label) => bytes(field, text(1, label), bytes(2, tensorType))
  const initializer = bytes(
    5,
    varint(1, size),
    varint(1, size),
    varint(2, BFLOAT16),
    text(8, 'w'),
    raw(9, weights),
  )
  const graph = bytes(7, ...nodes, text(2, 'products'), initializer, value(11, 'x'), value(12, 'y'))
  return Buffer.concat([varint(1, 9), graph, bytes(8, text(1, ''), varint(2, 18))])
}

function number(value) {
  const out = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...out, rest])
    out.push((rest % 128) + 128)
  }
}

function varint(field, value) {
  return Buffer.concat([number(field * 8), number(value)])
}

function raw(field, data) {
  return Buffer.concat([number(field * 8 + 2), number(data.length), data])
}

function text(field, value) {
  return raw(field, Buffer.from(value))
}

function bytes(field, ...parts) {
  return raw(field, Buffer.concat(parts))
}
