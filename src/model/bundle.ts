/** Loads a model bundle: a folder with model.json, two graphs and a tokenizer. All files are verified before use. */
import { access, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { type HashableFile, sha256OfFiles } from '../base/file-hash.ts'
import { locateInside, reasonOf } from '../base/located-file.ts'
import { describeIssues, inPlainWords, isRecord, isText, isWhole } from '../base/validate.ts'
import { lazySchema } from '../base/zod.ts'
import { ModelError } from '../errors.ts'

export interface BundleFile {
  /** Absolute. */
  path: string
  /** Lower-case hex. */
  sha256: string
  bytes: number
}

export interface ModelBundle {
  /** Absolute. */
  directory: string
  id: string
  variant: string
  description: string
  /** Frames per clip. */
  frames: number
  /** Pixels. */
  height: number
  width: number
  /** Floats per vector. */
  embeddingDim: number
  maxTextTokens: number
  /** `video`, `text`, `tokenizer`, and any further files of the bundle. */
  files: Readonly<Record<string, BundleFile>> & {
    video: BundleFile
    text: BundleFile
    tokenizer: BundleFile
  }
  license: {
    name: string
    /** Absolute. */
    path?: string | undefined
    url?: string | undefined
  }
  /** Origin of the model as recorded in model.json: repository, revision and more. */
  source?: Readonly<Record<string, unknown>> | undefined
}

export interface ModelLicense {
  name: string
  url?: string | undefined
  /** Text of the licence, if the bundle contains it. */
  text?: string | undefined
}

const formatVersion = 1
const modelJson = lazySchema((z) => {
  const pixels = z.int().min(1).max(8192)
  const bundleFile = z.object({
    path: z.string().min(1),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/i, { error: 'must be 64 hex digits' })
      .transform((hash) => hash.toLowerCase()),
    bytes: z.int().min(1),
  })
  return z.object({
    id: z.string().regex(/^[\w.:/-]{1,200}$/, { error: 'must be a name of letters, digits and . _ - / :' }),
    variant: z.string().min(1),
    description: z.string(),
    frames: z.int().min(1).max(64),
    resolution: z.union([pixels, z.tuple([pixels, pixels])], { error: 'must be R or [height, width]' }),
    embeddingDim: z.int().min(1).max(65_536),
    maxTextTokens: z.int().min(3).max(8192),
    files: z.object({ video: bundleFile, text: bundleFile, tokenizer: bundleFile }).catchall(bundleFile),
    license: z.object({ name: z.string().min(1), path: z.string().optional(), url: z.string().optional() }),
    source: z.record(z.string(), z.unknown()).optional(),
  })
})

type ModelJson = z.infer<ReturnType<typeof modelJson>>

/** The fields of a valid model.json as the exporter writes it; undefined otherwise. */
function usualModelJson(value: unknown): ModelJson | undefined {
  const {
    id,
    variant,
    description,
    frames,
    resolution,
    embeddingDim,
    maxTextTokens,
    files,
    license,
    source,
  } = value as Partial<Record<keyof ModelJson, unknown>>
  const valid =
    typeof id === 'string' &&
    /^[\w.:/-]{1,200}$/.test(id) &&
    isText(variant) &&
    typeof description === 'string' &&
    isWhole(frames, 1, 64) &&
    isWhole(resolution, 1, 8192) &&
    isWhole(embeddingDim, 1, 65_536) &&
    isWhole(maxTextTokens, 3, 8192) &&
    isRecord(files) &&
    ['video', 'text', 'tokenizer'].every((name) => name in files) &&
    Object.values(files).every(isBundleFile) &&
    isRecord(license) &&
    isText(license.name) &&
    [license.path, license.url].every((text) => text === undefined || typeof text === 'string') &&
    (source === undefined || isRecord(source))
  if (!valid) return undefined
  const { name, path, url } = license
  const fields = { id, variant, description, frames, resolution, embeddingDim, maxTextTokens, files, source }
  return { ...fields, license: { name, path, url } } as ModelJson
}

function isBundleFile(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { path, sha256, bytes } = value
  return (
    isText(path) &&
    typeof sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    isWhole(bytes, 1, Number.MAX_SAFE_INTEGER)
  )
}

/** Reads model.json and verifies every file's size and SHA-256. Rejects with ModelError, or with `signal.reason`. */
export async function loadBundle(
  directory: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<ModelBundle> {
  signal?.throwIfAborted()
  const root = await realpath(directory).catch((cause) => {
    const isHubId = /^[\w.-]+\/[\w.-]+$/.test(directory)
    const advice = isHubId ? exportAdvice(directory, 'a model of the hub') : ''
    throw new ModelError(`model folder ${directory}: ${reasonOf(cause)}${advice}`, { cause })
  })
  const { resolution, license, files, ...rest } = await readModelJson(root)
  const [height, width] = typeof resolution === 'number' ? [resolution, resolution] : resolution
  const verified = await verifyFiles(root, files, signal)
  return {
    ...rest,
    directory: root,
    height,
    width,
    files: verified as ModelBundle['files'],
    license: {
      ...license,
      path: license.path === undefined ? undefined : (await locate(root, 'license', license.path)).path,
    },
  }
}

/** Advice for a user who named a checkpoint instead of a bundle. */
function exportAdvice(checkpoint: string, what: string): string {
  return `. If this is ${what}, make a bundle of it: cosmos-embed export --checkpoint ${checkpoint} --out DIR`
}

/** Reads the model's licence. Rejects with ModelError if its file cannot be read. */
export async function readLicense({ license }: ModelBundle): Promise<ModelLicense> {
  const { name, url, path } = license
  if (path === undefined) return { name, url }
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new ModelError(`license file ${path}: ${reasonOf(cause)}`, { cause })
  })
  return { name, url, text }
}

async function readModelJson(root: string): Promise<ModelJson> {
  const path = join(root, 'model.json')
  let value: unknown
  try {
    value = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    const reason = cause instanceof SyntaxError ? `not JSON: ${cause.message}` : reasonOf(cause)
    const isCheckpoint = await access(join(root, 'config.json')).then(
      () => true,
      () => false,
    )
    throw new ModelError(`${path}: ${reason}${isCheckpoint ? exportAdvice(root, 'a checkpoint') : ''}`, {
      cause,
    })
  }
  const version = (value as { formatVersion?: unknown } | null)?.formatVersion
  if (version !== formatVersion) {
    throw new ModelError(
      `${path}: formatVersion is ${JSON.stringify(version) ?? 'missing'}, this version of cosmos-embed reads ${formatVersion}`,
    )
  }
  const usual = usualModelJson(value)
  if (usual) return usual
  const result = modelJson().safeParse(value, inPlainWords)
  if (!result.success) throw new ModelError(`${path}: ${describeIssues(result.error.issues).message}`)
  return result.data
}

function locate(root: string, name: string, path: string): Promise<HashableFile> {
  return locateInside(root, path, { what: `${name} file`, folder: 'the bundle' })
}

async function verifyFiles(
  root: string,
  files: Record<string, BundleFile>,
  signal: AbortSignal | undefined,
): Promise<Record<string, BundleFile>> {
  const entries = Object.entries(files)
  // Checks the sizes first: an incomplete download is reported without hashing gigabytes.
  const located = await Promise.all(
    entries.map(async ([name, { path, bytes }]) => {
      const file = await locate(root, name, path)
      if (file.size !== BigInt(bytes)) {
        throw new ModelError(
          `${name} file ${file.path} has ${file.size} bytes, model.json says ${bytes}: fetch it again`,
        )
      }
      return file
    }),
  )
  const hashes = await sha256OfFiles(located, signal)
  return Object.fromEntries(
    entries.map(([name, { sha256, bytes }], index) => {
      const { path } = located[index] as HashableFile
      if (hashes[index] !== sha256) {
        throw new ModelError(
          `${name} file ${path} has SHA-256 ${hashes[index]}, model.json says ${sha256}: fetch it again`,
        )
      }
      return [name, { path, sha256, bytes }]
    }),
  )
}
