/** The package in processes with various flags, none of which must affect its threads. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, it } from 'vitest'

const entry = new URL('../../dist/index.js', import.meta.url).href
const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-hosts-'))
afterAll(() => rmSync(folder, { recursive: true }))

const write = (name: string, code: string) => {
  const file = path.join(folder, name)
  writeFileSync(file, code)
  return file
}

// A long text is tokenized in a thread, and the model's files are hashed, because the cache is empty.
const body = `
  const embedder = await createEmbedder()
  const { embedding } = await embedder.embedText('a red circle '.repeat(4000))
  await embedder.dispose()
  console.log(embedding.length)
`
const program = `import { createEmbedder } from '${entry}'\n${body}`
const script = write('script.mjs', program)
const commonJs = write('script.cjs', `import('${entry}').then(async ({ createEmbedder }) => {${body}})`)
const typescript = write(
  'loader.mjs',
  `export async function load(url, context, next) { return next(url, context) }
   export async function resolve(name, context, next) { return next(name, context) }`,
)
const register = write(
  'register.mjs',
  `import { register } from 'node:module'; register('${pathToFileURL(typescript).href}')`,
)
const required = write('required.cjs', 'globalThis.required = true')

const nodeMajor = Number(process.versions.node.split('.')[0])
const permission = nodeMajor >= 22 ? '--permission' : '--experimental-permission'
const granted = [
  permission,
  '--allow-addons',
  '--allow-worker',
  '--allow-fs-read=*',
  `--allow-fs-write=${folder}/*`,
]

it.each<[string, string[]]>([
  ['a module', [script]],
  ['CommonJS', [commonJs]],
  ['a module on the command line', ['--input-type=module', '-e', program]],
  [
    'a program on the command line',
    ['-e', `import('${entry}').then(async ({ createEmbedder }) => {${body}})`],
  ],
  ['hooks on the modules', ['--import', register, script]],
  ['a preloaded module', ['--require', required, script]],
  ['a conditional export', ['--conditions=development', script]],
  ['a process with permissions', [...granted, script]],
])(
  '%s',
  (_, args) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: folder,
      env: { ...process.env, NODE_OPTIONS: '', XDG_CACHE_HOME: path.join(folder, `cache-${Math.random()}`) },
      encoding: 'utf8',
      timeout: 240_000,
    })
    expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: '256\n' })
  },
  300_000,
)
