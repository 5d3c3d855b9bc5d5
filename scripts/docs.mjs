// Writes the API reference to docs/api, from the exports and their comments. Fails on a broken link and on an export
// without a comment.
//
//   npm run docs

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'

const folder = fileURLToPath(new URL('api-docs', import.meta.url))
const modules = path.join(folder, 'node_modules')

/** TypeDoc needs the compiler's JavaScript API, which TypeScript 7 lacks, so it is installed beside a TypeScript 6. */
async function loadTypeDoc() {
  const lock = path.join(folder, 'package-lock.json')
  const installed = path.join(modules, '.installed-lock.json')
  const text = (file) => readFileSync(file, 'utf8')
  if (!existsSync(installed) || text(installed) !== text(lock)) {
    const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: folder,
      stdio: 'inherit',
    })
    if (status !== 0) throw new Error('npm ci failed')
    copyFileSync(lock, installed)
  }
  return import(pathToFileURL(path.join(modules, 'typedoc', 'dist', 'index.js')).href)
}

/** Exports that have no comment, neither themselves nor on every signature that they can be called by. */
function undocumented(project) {
  const entries = project.children ?? []
  return entries.flatMap((entry) =>
    (entry.children ?? [])
      .filter((item) => item.variant !== 'reference' && !item.hasComment())
      .filter((item) => !item.signatures?.every((signature) => signature.hasComment()))
      .map((item) => `${entry.name}: ${item.name}`),
  )
}

// TypeDoc resolves its plugins from here.
process.chdir(folder)
const { Application, TSConfigReader, TypeDocReader } = await loadTypeDoc()
const app = await Application.bootstrapWithPlugins({}, [new TypeDocReader(), new TSConfigReader()])
const project = await app.convert()
if (!project) process.exit(1)
app.validate(project)
for (const name of undocumented(project)) app.logger.error(`${name} has no comment`)
await app.generateOutputs(project)
if (app.logger.hasErrors() || app.logger.hasWarnings()) process.exit(1)
