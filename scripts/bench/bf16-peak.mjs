// Measures the dense bf16 throughput that a GPU really reaches: eight matrix products in a row, run by trtexec, or by
// PyTorch where there is no trtexec.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { findBuildTool } from '../../dist/tensorrt/build-tool.js'

const size = 8192
const layers = 8
const BFLOAT16 = 16

/**
 * Uses the trtexec that belongs to this libnvinfer, or else the PyTorch of the `python3` on PATH.
 * @returns {Promise<{ tflops?: number, by?: string, reason?: string }>} `reason` is there instead of the others when nothing could be measured
 */
export async function bf16Peak({ library, device }) {
  /** @type {import('../../dist/tensorrt/tensorrt-library.js').FoundTensorRt} */
  const tensorrt = { path: library, origin: 'option', version: '', lean: false }
  const tool = await findBuildTool({ tensorrt, signal: new AbortController().signal }).catch(() => undefined)
  if (tool?.kind !== 'trtexec') return byPyTorch(device)
  const folder = mkdtempSync(path.join(tmpdir(), 'bf16-peak-'))
  try {
    const onnx = path.join(folder, 'matmul.onnx')
    writeFileSync(onnx, matrixProducts())
    const searched = [path.dirname(library), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':')
    const { status, stdout, error } = spawnSync(
      tool.program,
      [
        ...[`--onnx=${onnx}`, `--device=${device}`, '--stronglyTyped'],
        ...['--useCudaGraph', '--noDataTransfers', '--iterations=50'],
      ],
      { encoding: 'utf8', maxBuffer: 1 << 26, env: { ...process.env, LD_LIBRARY_PATH: searched } },
    )
    if (error) return { reason: `${tool.program}: ${error.message}` }
    const milliseconds = /GPU Compute Time:.*?median = ([\d.]+) ms/.exec(stdout)?.[1]
    if (status !== 0 || !milliseconds)
      return { reason: `${tool.program} ended with ${status} and printed no GPU Compute Time` }
    return { tflops: (layers * 2 * size ** 3) / (Number(milliseconds) / 1000) / 1e12, by: 'trtexec' }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function byPyTorch(device) {
  const script = fileURLToPath(new URL('bf16_peak.py', import.meta.url))
  // PyTorch brings its own CUDA libraries; an LD_LIBRARY_PATH set for TensorRT must not replace them.
  const { LD_LIBRARY_PATH: _, ...env } = process.env
  const { status, stdout } = spawnSync('python3', [script, String(device)], { encoding: 'utf8', env })
  const tflops = Number(stdout)
  if (status !== 0 || !(tflops > 0))
    return { reason: 'there is no trtexec, and no PyTorch that sees the GPU behind python3' }
  return { tflops, by: 'PyTorch' }
}

/** An ONNX model, written field by field: x → x·w → x·w·w → …, [size, size], bf16. */
export function matrixProducts() {
  // Values must not grow: 2^-13 times a row of 8192 ones is 1.
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
