/** `createEmbedder`: loads a model and opens the devices that run it. */
import { fileURLToPath } from 'node:url'
import nativeBinding, { type Binding } from '#binding'
import { toCosmosEmbedError } from './base/native-failure.ts'
import { type BuildEngines, chooseDevice } from './device/choose-device.ts'
import { closeDevices, openDevices } from './device/open-devices.ts'
import { describeEmbedder } from './info.ts'
import { loadBundle } from './model/bundle.ts'
import { type EmbedderOptions, type ResolvedOptions, resolveEmbedderOptions } from './options.ts'
import { DevicePipelines } from './run/device-pipelines.ts'
import { LocalEmbedder } from './run/local-embedder.ts'
import { Stats } from './run/stats.ts'
import { Sources } from './source/sources.ts'
import type { TextTokenizer } from './tokenizer/tokenizer.ts'
import { type ParsedTokenizerFile, readTokenizerFile } from './tokenizer/tokenizer-file.ts'
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
  build: BuildEngines = buildWithTrtexec,
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
  const file = await readTokenizerFile(bundle.files.tokenizer.path, bundle.maxTextTokens)
  const chosen = await chooseDevice({ binding, options, bundle, buildEngines: build, signal })
  // While native threads load the model, this one makes the tokenizer.
  const making = makeTokenizer(file)
  // Reported below, after the devices have been opened.
  making.catch(() => {})
  const padTokenId = file.padTokenId ?? (await making).padTokenId
  const opening = openDevices(chosen, { binding, options, bundle, padTokenId, signal })
  const [opened, made] = await Promise.allSettled([opening, making])
  if (made.status === 'rejected') {
    if (opened.status === 'fulfilled') await closeDevices(opened.value.devices)
    throw made.reason
  }
  if (opened.status === 'rejected') throw opened.reason
  const { choice, devices } = opened.value
  const tokenizer = made.value
  const stats = new Stats()
  const sources = new Sources({ urls: options.urls, limits: options.limits })
  const pipelines = new DevicePipelines({ binding, devices, tokenizer, sources, options, stats })
  const info = describeEmbedder({ options, choice, bundle, devices, diagnostics, pipelines })
  return new LocalEmbedder({ devices, pipelines, stats, options, info })
}

/** The tokenizer's library is loaded here, because it takes as long as this package. */
async function makeTokenizer(file: ParsedTokenizerFile): Promise<TextTokenizer> {
  const { makeTextTokenizer } = await import('./tokenizer/tokenizer.ts')
  return makeTextTokenizer(file)
}

const buildWithTrtexec: BuildEngines = async (request) => {
  const { buildEngines } = await import('./tensorrt/engine-builder.ts')
  return await buildEngines(request)
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
