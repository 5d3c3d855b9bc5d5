/** `createEmbedder`: loads a model and opens the devices that run it. */
import { fileURLToPath } from 'node:url'
import nativeBinding, { type Binding } from '#binding'
import { toCosmosEmbedError } from './base/native-failure.ts'
import { type BuildEngines, chooseDevice } from './device/choose-device.ts'
import { openDevices } from './device/open-devices.ts'
import { describeEmbedder } from './info.ts'
import { loadBundle } from './model/bundle.ts'
import { type EmbedderOptions, type ResolvedOptions, resolveEmbedderOptions } from './options.ts'
import { DevicePipelines } from './run/device-pipelines.ts'
import { LocalEmbedder } from './run/local-embedder.ts'
import { Stats } from './run/stats.ts'
import { createSources } from './source/sources.ts'
import { buildEngines } from './tensorrt/engine-builder.ts'
import { loadTokenizer } from './tokenizer/tokenizer.ts'
import type { Embedder } from './types.ts'

/** Folder of the demo model that this package includes. */
export const demoModel: string = fileURLToPath(new URL('../models/demo', import.meta.url))

/**
 * Loads a model and returns an {@link Embedder} that runs it in this process.
 *
 * Rejects, with nothing left loaded, with InvalidArgumentError (an option), ModelError (the bundle or its TensorRT
 * engines), LibraryError (the addon, ONNX Runtime, the driver or TensorRT), EngineError (an engine could not be built),
 * OutOfMemoryError, DeviceLostError, or `signal.reason`.
 *
 * ```js
 * import { createEmbedder } from 'cosmos-embed'
 *
 * const embedder = await createEmbedder({ model: 'models/cosmos-embed1-224p' })
 * const { embedding } = await embedder.embedVideo('clip.mp4')
 * await embedder.dispose()
 * ```
 */
export function createEmbedder(options: EmbedderOptions = {}): Promise<Embedder> {
  return openEmbedder(options, nativeBinding)
}

/** {@link createEmbedder} with the native boundary and the engine builder passed in, as tests do. @internal */
export async function openEmbedder(
  rawOptions: EmbedderOptions,
  binding: Binding,
  build: BuildEngines = buildEngines,
): Promise<Embedder> {
  const options = resolveEmbedderOptions(rawOptions)
  const signal = options.signal ?? new AbortController().signal
  signal.throwIfAborted()
  try {
    return await load(options, { binding, build, signal })
  } catch (failure) {
    throw signal.aborted && failure === signal.reason ? failure : toCosmosEmbedError(failure)
  }
}

async function load(
  options: ResolvedOptions,
  { binding, build, signal }: { binding: Binding; build: BuildEngines; signal: AbortSignal },
): Promise<Embedder> {
  // First, so that a missing addon is reported before anything else that is missing.
  const diagnostics = binding.diagnostics()
  if (options.model === undefined) warnOfDemoModel()
  const bundle = await loadBundle(options.model ?? demoModel, { signal })
  const tokenizer = await loadTokenizer(bundle.files.tokenizer.path, bundle.maxTextTokens)
  const chosen = await chooseDevice({ binding, options, bundle, buildEngines: build, signal })
  const { padTokenId } = tokenizer
  const { choice, devices } = await openDevices(chosen, { binding, options, bundle, padTokenId, signal })
  const stats = new Stats()
  const sources = createSources({ urls: options.urls, limits: options.limits })
  const pipelines = new DevicePipelines({ binding, devices, tokenizer, sources, options, stats })
  const info = describeEmbedder({ options, choice, bundle, devices, diagnostics, pipelines })
  return new LocalEmbedder({ devices, pipelines, stats, options, info })
}

let warned = false

/** Warns once, because the demo model's vectors look like any others but cannot tell real scenes apart. */
function warnOfDemoModel(): void {
  if (warned) return
  warned = true
  process.emitWarning(
    'no model was given, so the demo model is used: it recognises moving coloured shapes and nothing else. ' +
      "docs/models.md shows how to convert NVIDIA's checkpoint; pass the resulting folder as `model` or --model",
    { type: 'CosmosEmbedWarning', code: 'COSMOS_EMBED_DEMO_MODEL' },
  )
}
