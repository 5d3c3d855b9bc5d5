/** What is usual is accepted by plain checks, so that zod need not be loaded. The schemas must say the same about it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { loadBundle } from '../../src/model/bundle.ts'
import { type EmbedderOptions, resolveEmbedderOptions } from '../../src/options.ts'
import { checkItem } from '../../src/request/schema.ts'
import { parseTokenizerFile } from '../../src/tokenizer/tokenizer-file.ts'
import { makeFolder, modelJson, removeFolders, writeBundle } from './bundles.ts'

type Fields = Record<string, unknown>

beforeAll(() => {
  vi.stubEnv('XDG_CACHE_HOME', makeFolder())
})
afterAll(() => {
  vi.unstubAllEnvs()
  removeFolders()
})

const odd = [undefined, null, '', 'x', 0, 1, 2, 65, 8193, 1.5, 2 ** 53, 1e5, true, [], {}, { path: 'x' }]

async function outcome(check: () => unknown): Promise<unknown> {
  try {
    return { result: await check() }
  } catch (error) {
    return { message: (error as Error).message }
  }
}

/** Copies of the object, each with one field, at any depth, left out or set to an odd value. */
function* variants(object: Fields): Generator<Fields> {
  for (const [name, value] of Object.entries(object)) {
    const { [name]: _, ...others } = object
    yield others
    for (const other of odd) yield { ...object, [name]: other }
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const inner of variants(value as Fields)) yield { ...object, [name]: inner }
  }
}

test('about model.json', async () => {
  const folder = writeBundle()
  const load = (json: Fields) =>
    outcome(() => {
      writeFileSync(join(folder, 'model.json'), JSON.stringify(json))
      return loadBundle(folder)
    })
  for (const json of variants(modelJson)) {
    // Two forms of the same bundle that only the schema accepts.
    const { resolution, files } = json as { resolution: unknown; files: typeof modelJson.files }
    const unusual =
      resolution === modelJson.resolution
        ? { ...json, resolution: [resolution, resolution] }
        : {
            ...json,
            files: { ...files, video: { ...files.video, sha256: files.video.sha256.toUpperCase() } },
          }
    expect(await load(json), JSON.stringify(json)).toEqual(await load(unusual))
  }
})

test('about tokenizer.json', async () => {
  const path = new URL('../../models/demo/tokenizer.json', import.meta.url)
  const demo = JSON.parse(readFileSync(path, 'utf8')) as { model: Fields } & Fields
  demo.model.vocab = { '[PAD]': 0, '[UNK]': 1 }
  const parse = (json: Fields) =>
    outcome(() =>
      parseTokenizerFile({ text: JSON.stringify(json), path: 'tokenizer.json', maxTextTokens: 8 }),
    )
  // The file itself differs.
  const withoutFile = (parsed: unknown) => {
    const { result, message } = parsed as {
      result?: { json: unknown; padTokenId: unknown }
      message?: string
    }
    return { json: result?.json, padTokenId: result?.padTokenId, message }
  }
  for (const json of [...variants(demo)].map((each) => ({ added_tokens: [], ...each }) as Fields)) {
    const { model } = json as { model: Fields | undefined }
    // The schema adds this field, so what lacks it is not usual.
    const isDefault = model?.continuing_subword_prefix === '##'
    const { continuing_subword_prefix: _, ...others } = model ?? {}
    const unusual = isDefault ? { ...json, model: others } : json
    expect(withoutFile(await parse(json)), JSON.stringify(json)).toEqual(withoutFile(await parse(unusual)))
  }
})

/** An object of a class is never usual. */
class Unusual {}
const viaSchema = <T extends object>(input: T) => Object.assign(new Unusual(), input) as T

test('about the options of an embedder', async () => {
  const resolve = (options: object) => outcome(() => resolveEmbedderOptions(options as EmbedderOptions))
  for (const options of [{}, { other: 1 }, ...variants({ model: 'a/b', device: 'cpu', signal: undefined })])
    expect(await resolve(options), JSON.stringify(options)).toEqual(await resolve(viaSchema(options)))
})

test('about texts', async () => {
  const check = (input: object) => outcome(() => checkItem(input))
  for (const input of [{ text: 'a', key: 1 }, ...variants({ text: 'a' })])
    expect(await check(input), JSON.stringify(input)).toEqual(await check(viaSchema(input)))
})
