// model.json of a bundle, with its files beside it.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { ModelError } from '../../../dist/errors.js'
import { loadBundle, readLicense } from '../../../dist/model/bundle.js'

const content = 'a file of the bundle'
const file = (name) => ({
  path: name,
  sha256: createHash('sha256').update(content).digest('hex'),
  bytes: content.length,
})

const bundle = {
  formatVersion: 1,
  id: 'a/model-1.0',
  variant: '224p',
  description: 'é',
  frames: 8,
  resolution: 224,
  embeddingDim: 256,
  maxTextTokens: 128,
  files: { video: file('video.onnx'), text: file('text.onnx'), tokenizer: file('tokenizer.json') },
  license: { name: 'Apache-2.0', path: 'LICENSE', url: 'https://example.com' },
  source: { repository: 'a/b', steps: 3 },
}

export const seeds = [
  bundle,
  { ...bundle, resolution: [224, 448], files: { ...bundle.files, golden: file('golden.json') } },
  { ...bundle, license: { name: 'MIT' } },
].map((value) => JSON.stringify(value))

export const allowed = (error) => error instanceof ModelError

let folder

export function begin() {
  folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-fuzz-'))
  for (const name of ['video.onnx', 'text.onnx', 'tokenizer.json', 'golden.json', 'LICENSE']) {
    writeFileSync(path.join(folder, name), content)
  }
}

export function end() {
  rmSync(folder, { recursive: true, force: true })
}

export async function run(bytes) {
  writeFileSync(path.join(folder, 'model.json'), bytes)
  const loaded = await loadBundle(folder)
  for (const { path: found } of Object.values(loaded.files)) {
    if (!found.startsWith(folder)) throw new Error(`a file outside of the bundle: ${found}`)
  }
  await readLicense(loaded)
}
