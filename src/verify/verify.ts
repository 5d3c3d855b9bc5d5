/** Verifies a bundle, from its files to the vectors that it gives on every device of this machine. */
import { createEmbedder } from '../embedder.ts'
import { CosmosEmbedError, LibraryError } from '../errors.ts'
import { loadBundle, type ModelBundle } from '../model/bundle.ts'
import { readOnnxGraph } from '../model/onnx-graph.ts'
import { loadTokenizer } from '../tokenizer/tokenizer.ts'
import type { Embedder, Settled } from '../types.ts'
import { type Golden, goldenClip, loadGolden } from './golden.ts'

export type Device = 'cpu' | 'cuda'

export interface Check {
  check: string
  /** `note`: nothing is wrong, but something could not be checked. */
  state: 'ok' | 'note' | 'failed'
  found: string
}

export interface VerifyOptions {
  /** Default: every device of this machine. */
  device?: Device | undefined
  signal?: AbortSignal | undefined
}

/** Inputs for bundles without golden vectors, whose vectors are only checked for unit length. */
const SEEDS = [0, 1]
const TEXTS = ['a red car turning left', 'people walking on a street']

/** Yields each finding as soon as it is known, and stops after a failure that later checks depend on. Throws `signal.reason`. */
export async function* verifyBundle(
  directory: string,
  { device, signal }: VerifyOptions = {},
): AsyncGenerator<Check, void> {
  const bundle = await attempt('files', () => loadBundle(directory, { signal }))
  if ('failed' in bundle) return yield bundle.failed
  const names = Object.keys(bundle.files)
  const bytes = Object.values(bundle.files).reduce((sum, file) => sum + file.bytes, 0)
  yield {
    check: 'files',
    state: 'ok',
    found: `${bundle.id}: sizes and SHA-256 of ${names.length} files, ${(bytes / 1e6).toFixed(1)} MB`,
  }

  for (const warning of warningsOf(bundle)) yield { check: 'conversion', state: 'note', found: warning }

  const loaded = await attempt('golden vectors', async () => ({ golden: await loadGolden(bundle) }))
  if ('failed' in loaded) return yield loaded.failed
  const { golden } = loaded
  if (golden === undefined) {
    yield { check: 'golden vectors', state: 'note', found: 'the bundle has none: only lengths are checked' }
  } else {
    yield await checkTokens(bundle, golden)
  }
  let isChecked = false
  for (const name of device === undefined ? (['cpu', 'cuda'] as const) : [device]) {
    for await (const check of checkDevice(bundle, golden, name, {
      isRequested: device !== undefined,
      signal,
    })) {
      isChecked ||= check.state !== 'note'
      yield check
    }
  }
  if (!isChecked) {
    const found = 'no device of this machine can run the bundle: its vectors were not checked'
    yield { check: 'vectors', state: 'note', found }
  }
}

/** The exporter's warnings, from the bundle's `source.warnings`. */
function warningsOf({ source }: ModelBundle): string[] {
  const warnings = source?.warnings
  return Array.isArray(warnings) ? warnings.map(String) : []
}

/** Why the graphs cannot run on any device of this kind; undefined if they can. */
async function unsupportedReason(bundle: ModelBundle, device: Device): Promise<string | undefined> {
  const graphs = await attempt('graphs', async () =>
    [bundle.files.video, bundle.files.text].map(({ path }) => readOnnxGraph(path)),
  )
  if ('failed' in graphs) return undefined
  if (device === 'cpu' && graphs.some(({ weights }) => (weights.bf16 ?? 0) > 0)) {
    return 'the graphs are bf16, which ONNX Runtime does not support on a CPU: checked on GPUs only'
  }
  if (device === 'cuda' && graphs.some(({ onnxRuntimeOps }) => onnxRuntimeOps.size > 0)) {
    return 'the graphs use operators that only ONNX Runtime has, e.g. for int8: checked on CPUs only'
  }
  return undefined
}

async function checkTokens(bundle: ModelBundle, golden: Golden): Promise<Check> {
  const tokenizer = await attempt('tokens', () =>
    loadTokenizer(bundle.files.tokenizer.path, bundle.maxTextTokens),
  )
  if ('failed' in tokenizer) return tokenizer.failed
  const other = golden.texts.find(({ text, ids }) => `${[...tokenizer.encode(text).ids]}` !== `${ids}`)
  if (other === undefined) {
    return {
      check: 'tokens',
      state: 'ok',
      found: `equal to the checkpoint's for ${golden.texts.length} texts`,
    }
  }
  return { check: 'tokens', state: 'failed', found: `different from the checkpoint's for "${other.text}"` }
}

async function* checkDevice(
  bundle: ModelBundle,
  golden: Golden | undefined,
  device: Device,
  { isRequested, signal }: { isRequested: boolean; signal: AbortSignal | undefined },
): AsyncGenerator<Check, void> {
  const embedder = await attempt(`${device}: signature`, () =>
    // verify never builds an engine.
    createEmbedder({ model: bundle.directory, device, cuda: { buildEngine: 'never' }, signal }),
  )
  if ('failed' in embedder) {
    const { error } = embedder
    const never = await unsupportedReason(bundle, device)
    if (never !== undefined) {
      return yield {
        check: device,
        state: isRequested ? 'failed' : 'note',
        found: `${never} (${error.message})`,
      }
    }
    const isAbsent = error instanceof LibraryError || error.details.command !== undefined
    const isOnlyNote = isAbsent && !isRequested && device !== 'cpu'
    return yield isOnlyNote ? { ...embedder.failed, check: device, state: 'note' } : embedder.failed
  }
  try {
    const { engine } = embedder.info()
    const clip = `${bundle.frames} frames of ${bundle.width}×${bundle.height}`
    yield {
      check: `${device}: signature`,
      state: 'ok',
      found: `${clip} → ${bundle.embeddingDim} numbers, ${engine.backend} ${engine.version}`,
    }
    const clips = golden?.clips ?? SEEDS.map((seed) => ({ seed, vector: undefined }))
    const texts = golden?.texts ?? TEXTS.map((text) => ({ text, vector: undefined }))
    yield judge(`${device}: video`, await embedClips(embedder, bundle, clips, signal), clips, golden)
    const items = texts.map(({ text }) => ({ text }))
    yield judge(`${device}: text`, await embedder.embedMany(items, { signal }), texts, golden)
  } finally {
    await embedder.dispose()
  }
}

/** Embeds one clip at a time: each takes about a second at full size, and megabytes of pictures. */
async function embedClips(
  embedder: Embedder,
  { frames, height, width }: ModelBundle,
  clips: readonly { seed: number }[],
  signal: AbortSignal | undefined,
): Promise<Settled[]> {
  const results: Settled[] = []
  for (const { seed } of clips) {
    const item = { frames: goldenClip(seed, frames, height, width) }
    results.push(...(await embedder.embedMany([item], { signal })))
  }
  return results
}

function judge(
  check: string,
  results: readonly Settled[],
  wanted: readonly { vector: Float32Array | undefined }[],
  golden: Golden | undefined,
): Check {
  const cosines: number[] = []
  for (const [index, result] of results.entries()) {
    if (result.status === 'rejected') return { check, state: 'failed', found: messageOf(result.reason) }
    // The engine itself rejects vectors that do not have unit length.
    const { vector } = wanted[index] ?? {}
    if (vector !== undefined) cosines.push(cosine(result.value.embedding, vector))
  }
  if (golden === undefined) return { check, state: 'ok', found: `${results.length} unit vectors` }
  const lowest = Math.min(...cosines)
  return {
    check,
    state: lowest >= golden.lowestCosine ? 'ok' : 'failed',
    found: `lowest cosine to the checkpoint's ${cosines.length} vectors ${lowest.toFixed(6)}, required ${golden.lowestCosine}`,
  }
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

/** Runs `work`. A CosmosEmbedError becomes a failed finding; anything else is thrown. */
async function attempt<T extends object>(
  check: string,
  work: () => Promise<T>,
): Promise<T | { failed: Check; error: CosmosEmbedError }> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof CosmosEmbedError)) throw error
    return { failed: { check, state: 'failed', found: error.message }, error }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
