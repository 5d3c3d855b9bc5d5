/** The command `doctor`: checks what this machine can do. */
import { availableParallelism, totalmem } from 'node:os'
import process from 'node:process'

import binding from '#binding'
import { translateNativeFailure } from '../base/native-failure.ts'
import { runNative } from '../base/native-job.ts'
import { VERSION } from '../base/version.ts'
import { missingWalls } from '../device/decoder-processes.ts'
import { findOnnxRuntime } from '../device/onnxruntime-library.ts'
import { createEmbedder, demoModel } from '../embedder.ts'
import { CosmosEmbedError, errorTable } from '../errors.ts'
import { type EmbedderOptions, resolveEmbedderOptions } from '../options.ts'
import {
  type Command,
  deviceOption,
  type Io,
  modelOptions,
  modelUsage,
  parse,
  UsageError,
} from './command.ts'
import { gpuFindings } from './doctor-gpu.ts'
import type { Finding } from './finding.ts'

const usage = `Usage: cosmos-embed doctor [OPTIONS]

Checks what this machine can do, and says what is missing and how to fix it. Exit code 1 if embedding does not work.

  --json                 print the findings as JSON on stdout (default: as text)
${modelUsage}
`

// The supported codecs, with the names of FFmpeg decoders of which one suffices.
const CODECS: Record<string, readonly string[]> = {
  'H.264': ['h264'],
  HEVC: ['hevc'],
  AV1: ['libdav1d', 'av1'],
  VP8: ['vp8'],
  VP9: ['vp9'],
  'VC-1': ['vc1'],
  'MPEG-4': ['mpeg4'],
  'MPEG-2': ['mpeg2video'],
  'MPEG-1': ['mpeg1video'],
  MJPEG: ['mjpeg'],
  ProRes: ['prores'],
  Theora: ['theora'],
  'WMV 1, 2': ['wmv1', 'wmv2'],
  FFV1: ['ffv1'],
  DV: ['dvvideo'],
  'raw video': ['rawvideo'],
  GIF: ['gif'],
  APNG: ['apng'],
  PNG: ['png'],
  WebP: ['webp'],
}

async function run(argv: string[], io: Io): Promise<number> {
  const { values, positionals } = parse(argv, { ...modelOptions, json: { type: 'boolean' } })
  if (positionals.length > 0) throw new UsageError(`unexpected "${positionals[0]}"`)
  const model = values.model ?? demoModel
  const device = deviceOption(values.device) ?? 'auto'
  // doctor only inspects the machine: it never builds an engine.
  const settings = { model, device, cuda: { buildEngine: 'never' } } as const

  const findings = [
    system(),
    await finding('native addon', addon),
    await finding('video codecs', codecs),
    await finding('decoder processes', () => decoderProcesses(io.signal)),
    await finding('ONNX Runtime', onnxRuntime),
    ...(await gpuFindings({ binding, options: resolveEmbedderOptions(settings), model, signal: io.signal })),
    await finding('embedding', () => embedding(settings, io.signal)),
  ]
  if (values.json) {
    io.stdout.write(`${JSON.stringify({ version: VERSION, findings }, null, 2)}\n`)
  } else {
    for (const { check, state, found, fix } of findings) {
      io.stdout.write(`${state.padEnd(6)} ${check}: ${found}\n`)
      if (fix !== undefined) io.stdout.write(`       → ${fix}\n`)
    }
  }
  return findings.some(({ state }) => state === 'failed') ? 1 : 0
}

/** Runs one check. A CosmosEmbedError becomes a failed finding. */
async function finding(
  check: string,
  look: () => Omit<Finding, 'check'> | Promise<Omit<Finding, 'check'>>,
): Promise<Finding> {
  try {
    return { check, ...(await look()) }
  } catch (thrown) {
    const error = translateNativeFailure(thrown)
    if (!(error instanceof CosmosEmbedError)) throw error
    const { command } = error.details
    const fix = command === undefined ? errorTable[error.code].advice : `run: ${command}`
    return { check, state: 'failed', found: error.message, fix }
  }
}

function system(): Finding {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined
  const glibc = report?.header?.glibcVersionRuntime
  const memory = (totalmem() / 2 ** 30).toFixed(0)
  return {
    check: 'system',
    state: 'ok',
    found:
      `cosmos-embed ${VERSION}, Node ${process.versions.node}, ${process.platform}-${process.arch}, ` +
      `${glibc === undefined ? 'not glibc' : `glibc ${glibc}`}, ${availableParallelism()} cores, ${memory} GiB`,
  }
}

function addon(): Omit<Finding, 'check'> {
  const { version, compiler, simd, ffmpeg } = binding.diagnostics()
  return {
    state: 'ok',
    found: `${version} (${compiler}, ${simd}), FFmpeg libavcodec ${ffmpeg.avcodec}, ${ffmpeg.license}`,
  }
}

function codecs(): Omit<Finding, 'check'> {
  const { decoders } = binding.diagnostics().ffmpeg
  const missing = Object.keys(CODECS).filter(
    (name) => !CODECS[name]?.some((decoder) => decoders.includes(decoder)),
  )
  const present = Object.keys(CODECS).filter((name) => !missing.includes(name))
  if (missing.length === 0) return { state: 'ok', found: present.join(', ') }
  return {
    state: 'note',
    found: `${present.join(', ')}; not ${missing.join(', ')}`,
    fix: 'use an FFmpeg that was built with these decoders if you need them',
  }
}

async function decoderProcesses(signal: AbortSignal): Promise<Omit<Finding, 'check'>> {
  const pool = await runNative(() => binding.openDecoderPool({ maxBytes: 2 ** 31, idle: 1 }), signal)
  const missing = missingWalls(pool.walls)
  pool.close()
  if (missing.length === 0) return { state: 'ok', found: 'all walls stand' }
  return {
    state: 'note',
    found: `they would lack ${missing.join(', ')}`,
    fix: 'see docs/isolation.md for what a container or the system must allow',
  }
}

function onnxRuntime(): Omit<Finding, 'check'> {
  const library = findOnnxRuntime()
  const { version } = binding.probeOnnxRuntime(library.path)
  return { state: 'ok', found: `${version} at ${library.path} (found by: ${library.origin})` }
}

async function embedding(options: EmbedderOptions, signal: AbortSignal): Promise<Omit<Finding, 'check'>> {
  await using embedder = await createEmbedder({ ...options, signal })
  await embedder.embedText('a short test', { signal })
  const info = embedder.info()
  return {
    state: 'ok',
    found: `${info.model.id} on ${info.device.kind} (${info.device.reason})`,
  }
}

export const command: Command = {
  name: 'doctor',
  usage,
  run,
}
