/** The client without Node.js: what it imports, and which types it requires. */
import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import * as cosmosEmbed from 'cosmos-embed'
import { expect, it, onTestFinished } from 'vitest'
import * as browserEntry from '../../dist/client/browser-entry.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dist = path.join(root, 'dist')

/** Every module that `entry` loads, and every import that is not a file of this package. */
function imports(entry: string, seen = new Set<string>()): Set<string> {
  const file = path.join(dist, entry)
  if (seen.has(file)) return seen
  seen.add(file)
  const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  for (const [, name = ''] of code.matchAll(/^(?:import|export)\b[^;]*?\bfrom '([^']+)'/gm)) {
    if (name.startsWith('.')) imports(path.relative(dist, path.resolve(path.dirname(file), name)), seen)
    else seen.add(name)
  }
  if (/\bimport\(|\brequire\(/.test(code)) seen.add(`${entry} imports at run time`)
  return seen
}

const adapters = existing('adapters').filter((file) => file.endsWith('.js'))

function existing(folder: string): string[] {
  try {
    return readdirSync(path.join(dist, folder))
  } catch {
    return []
  }
}

it.each(['client/index.js', 'client/browser-entry.js', ...adapters.map((file) => `adapters/${file}`)])(
  '%s imports nothing but files of this package',
  (entry) => {
    const loaded = [...imports(entry)]
    expect(loaded.length).toBeGreaterThan(0)
    expect(loaded.filter((file) => !file.startsWith(dist))).toEqual([])
  },
)

it('the browser entry of cosmos-embed has errors and similarity, and createEmbedder points to the client', async () => {
  const missing = Object.keys(cosmosEmbed).filter((name) => !(name in browserEntry))
  expect(missing).toEqual(['VERSION'])
  await expect(browserEntry.createEmbedder()).rejects.toThrow('cosmos-embed/client')
  await expect(browserEntry.embed()).rejects.toMatchObject({ code: 'library' })
})

it('has types that compile for browsers without Node.js types', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-browser-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  mkdirSync(path.join(folder, 'node_modules'))
  symlinkSync(root, path.join(folder, 'node_modules', 'cosmos-embed'))
  writeFileSync(
    path.join(folder, 'page.mts'),
    `import { createClient, MediaError, rank, type Embedded } from 'cosmos-embed/client'
const client = createClient({ url: '/api', apiKey: 'a' })
const input = document.querySelector('input') as HTMLInputElement
const found: Embedded[] = []
for (const one of await client.embedMany([...(input.files ?? [])].map((video) => ({ video, key: video.name })))) {
  if (one.status === 'fulfilled') found.push(one.value)
  else if (one.reason instanceof MediaError) console.log(one.key.toUpperCase(), one.reason.message)
}
console.log(rank(await client.embedText('a'), found)[0]?.score)
// @ts-expect-error a number is not a video
await client.embedVideo(7)
`,
  )
  const args = [
    'page.mts',
    '--ignoreConfig',
    '--noEmit',
    '--strict',
    '--module',
    'preserve',
    '--moduleResolution',
    'bundler',
  ]
  const more = [
    '--target',
    'es2023',
    '--lib',
    'es2023,dom,dom.iterable,esnext.disposable',
    '--types',
    '',
    '--skipLibCheck',
    'false',
  ]
  const { status, stdout } = spawnSync(
    process.execPath,
    [path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), ...args, ...more],
    { cwd: folder, encoding: 'utf8' },
  )
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
})
