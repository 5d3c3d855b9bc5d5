/** Tries two plans in a child process, because a bad plan may crash it: loads them through the addon, runs each once. */
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

/** As a string, because the child needs JavaScript, and under test this module is TypeScript. */
const program = `
const [, addon, text] = process.argv
const { default: binding } = await import(addon)
const { device, libraries, engine } = JSON.parse(text)
const report = (result) => console.log(${JSON.stringify(marker)} + JSON.stringify(result))
try {
  const gpu = await binding.openGpu({ device, libraries, nvdec: 'never' }).promise
  const loaded = await binding.createEngine({ ...engine, gpu }).promise
  await loaded.encodeText([Int32Array.of(engine.padTokenId, engine.padTokenId, engine.padTokenId)]).promise
  const { frames, height, width } = engine
  const grey = { width: 16, height: 16, data: new Uint8Array(3 * 16 * 16).fill(128) }
  const images = Array.from({ length: frames }, () => grey)
  const { clip } = await binding.decodeClip({ images }, { frames, height, width, gpu }).promise
  await loaded.encodeVideo([clip]).promise
  clip.release()
  await loaded.close()
  gpu.close()
  report({})
} catch ({ code, message, details }) {
  report({ failure: { code, message: String(message), details } })
}
`

/** Rejects with the addon's error, with EngineError if the child process dies, or with `signal.reason`. */
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
  // A crash at exit after a successful run is TensorRT's and is ignored.
  if (result === undefined) {
    throw new EngineError(
      `the process that tried the new engine ${how}: ${lines.join(' | ') || 'it printed nothing'}`,
    )
  }
}
