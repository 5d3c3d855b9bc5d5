// The production addon on doubles of NVIDIA's libraries, with a model whose toy plans compute the same as its graphs.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { EmbedderOptions } from '../../src/index.ts'

export const root = path.join(import.meta.dirname, '../..')
const fakes = path.join(root, 'build-fakes')
const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-gpu-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

export const noFakes = !existsSync(path.join(fakes, 'cuda', 'libcuda.so.1'))
if (noFakes)
  console.warn('skipped: tests on the doubles, because build-fakes is not there (scripts/setup.mjs --test)')

export const versions = { 10: '10.16.1.11', 11: '11.1.0.106' } as const
export type Major = keyof typeof versions

export const driver = {
  cuda: path.join(fakes, 'cuda', 'libcuda.so.1'),
  nvcuvid: path.join(fakes, 'nvcuvid', 'libnvcuvid.so.1'),
}

export function tensorrt(major: Major): string {
  return path.join(fakes, 'nvinfer', `libnvinfer.so.${major}`)
}

/** Value of LD_LIBRARY_PATH with which the dynamic loader finds the doubles by name. */
export const loaderPath = ['cuda', 'nvcuvid', 'nvinfer'].map((name) => path.join(fakes, name)).join(':')

/** Eight frames of 64×64, eight values; graphs for ONNX Runtime that agree with the double's toy plans. */
export function toyModel(name: string): string {
  const model = mkdtempSync(path.join(folder, `${name}-`))
  const files = {
    video: path.join(root, 'native/test/goldens/toy_video.onnx'),
    text: path.join(root, 'native/test/goldens/toy_text.onnx'),
    tokenizer: path.join(root, 'models/demo/tokenizer.json'),
  }
  const entries = Object.entries(files).map(([role, from]) => {
    const content = readFileSync(from)
    const file = path.basename(from)
    copyFileSync(from, path.join(model, file))
    const sha256 = createHash('sha256').update(content).digest('hex')
    return [role, { path: file, sha256, bytes: content.length }] as const
  })
  const manifest = {
    formatVersion: 1,
    id: 'toy',
    variant: 'toy',
    description: 'computes means and sums',
    frames: 8,
    resolution: 64,
    embeddingDim: 8,
    maxTextTokens: 128,
    files: Object.fromEntries(entries),
    license: { name: 'Apache-2.0' },
  }
  writeFileSync(path.join(model, 'model.json'), JSON.stringify(manifest))
  return model
}

/** Environment in which a process finds the doubles without any option. */
export function environment(major: Major): NodeJS.ProcessEnv {
  return {
    ...process.env,
    COSMOS_EMBED_CUDA: driver.cuda,
    COSMOS_EMBED_NVCUVID: driver.nvcuvid,
    COSMOS_EMBED_TENSORRT: tensorrt(major),
    COSMOS_FAKE_TENSORRT: versions[major],
  }
}

/** Builds the model's engines with the command line and a stand-in for trtexec. */
export async function buildEngines(model: string, major: Major): Promise<string> {
  const trtexec = path.join(import.meta.dirname, 'trtexec.mjs')
  const built = await run(
    [path.join(root, 'dist/cli/bin.js'), 'build-engine', '--model', model, '--trtexec', trtexec],
    environment(major),
  )
  if (built.ended !== 0) throw new Error(`build-engine ended with ${built.ended}:\n${built.stderr}`)
  return built.stderr
}

export function onGpu(model: string, major: Major): EmbedderOptions & { cuda: object } {
  return {
    model,
    device: 'cuda',
    cuda: { libraries: { ...driver, tensorrt: tensorrt(major) }, buildEngine: 'never', cpuWorkers: 0 },
  }
}

export interface Ended {
  ended: number | NodeJS.Signals
  stdout: string
  stderr: string
}

/** Runs Node with these arguments. */
export function run(args: string[], env: NodeJS.ProcessEnv, timeout = 240_000): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      { env, timeout, killSignal: 'SIGKILL', maxBuffer: 1 << 26 },
      (_error, stdout, stderr) => {
        resolve({ ended: child.signalCode ?? child.exitCode ?? 'SIGKILL', stdout, stderr })
      },
    )
  })
}

export const clips: readonly string[] = readdirSync(path.join(root, 'examples/clips'))
  .filter((name) => /\.(mp4|webm)$/.test(name))
  .map((name) => path.join(root, 'examples/clips', name))
