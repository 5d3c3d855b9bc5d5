/** A fresh process loads two plans through the addon and runs each of them once. */
import type { NativeGpuLibraries, NativeTensorRtOptions } from '#binding'
import { runChild } from '../base/child-process.ts'
import { translateNativeFailure } from '../base/native-failure.ts'
import { EngineError } from '../errors.ts'

export interface PlanTrial {
  /** Number of the GPU. */
  device: number
  libraries: NativeGpuLibraries
  engine: Omit<NativeTensorRtOptions, 'gpu'>
}

const marker = 'cosmos-embed-trial:'

/** As text, because a process needs a JavaScript file and this module is TypeScript under test. */
const program = `
const [, addon, text] = process.argv
const { default: binding } = await import(addon)
const { device, libraries, engine } = JSON.parse(text)
const tell = (result) => console.log(${JSON.stringify(marker)} + JSON.stringify(result))
try {
  const gpu = await binding.openGpu({ device, libraries, nvdec: 'never' }).promise
  const made = await binding.createEngine({ ...engine, gpu }).promise
  await made.encodeText([Int32Array.of(engine.padTokenId, engine.padTokenId, engine.padTokenId)]).promise
  const { frames, height, width } = engine
  const grey = { width: 16, height: 16, data: new Uint8Array(3 * 16 * 16).fill(128) }
  const images = Array.from({ length: frames }, () => grey)
  const { clip } = await binding.decodeClip({ images }, { frames, height, width, gpu }).promise
  await made.encodeVideo([clip]).promise
  clip.release()
  await made.close()
  gpu.close()
  tell({})
} catch ({ code, message, details }) {
  tell({ failure: { code, message: String(message), details } })
}
`

/** Rejects with what the addon says, with EngineError when the process dies, or with `signal.reason`. */
export async function tryPlans(trial: PlanTrial, signal: AbortSignal): Promise<void> {
  const addon = new URL('../../lib/binding.js', import.meta.url).href
  let result: { failure?: unknown } | undefined
  const { how, lines } = await runChild(
    process.execPath,
    ['--input-type=module', '--eval', program, addon, JSON.stringify(trial)],
    {
      signal,
      onLine: (line) => {
        if (line.startsWith(marker)) result = JSON.parse(line.slice(marker.length))
      },
    },
  )
  if (result?.failure !== undefined) throw translateNativeFailure(result.failure)
  // An exit that is not clean after a good run is TensorRT's own, and not ours to judge.
  if (result === undefined) {
    throw new EngineError(
      `the process that tried the new engine ${how}: ${lines.join(' | ') || 'it said nothing'}`,
    )
  }
}
