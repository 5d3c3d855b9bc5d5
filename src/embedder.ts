/** `createEmbedder`: from options to a loaded model. */
import { fileURLToPath } from 'node:url'
import nativeBinding, { type Binding } from '#binding'
import { toCosmosEmbedError } from './base/native-failure.ts'
import { type BuildEngines, chooseDevice } from './device/choice.ts'
import { openDevices } from './device/open.ts'
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

/** Folder of the model that this package brings. */
export const demoModel: string = fileURLToPath(new URL('../models/demo', import.meta.url))

/**
 * Loads a model. Rejects with InvalidArgumentError (options), ModelError (bundle, its TensorRT engines), LibraryError
 * (addon, ONNX Runtime, driver, TensorRT), EngineError (an engine that cannot be built), OutOfMemoryError,
 * DeviceLostError, or with `signal.reason`; nothing stays loaded then.
 */
export function createEmbedder(options: EmbedderOptions = {}): Promise<Embedder> {
  return openEmbedder(options, nativeBinding)
}

/** The same with any implementation of the native boundary, and of what builds engines. @internal */
export async function openEmbedder(
  given: EmbedderOptions,
  binding: Binding,
  build: BuildEngines = buildEngines,
): Promise<Embedder> {
  const options = resolveEmbedderOptions(given)
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
  // First: without the addon nothing else that is missing matters.
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

/** Its vectors look like any other's, and know nothing of the world. */
function warnOfDemoModel(): void {
  if (warned) return
  warned = true
  process.emitWarning(
    'no model was named, so the demo model is used: it knows coloured shapes that move, and nothing else. ' +
      "docs/models.md says how to convert NVIDIA's checkpoint; name the folder as `model`, or as --model",
    { type: 'CosmosEmbedWarning', code: 'COSMOS_EMBED_DEMO_MODEL' },
  )
}
