// Installs a packed package into an empty project and lets text find video there. Runs on the machines of CI's matrix,
// which have Node.js and this file, and nothing else of the repository.
//
//   node smoke.mjs cosmos-embed-X.Y.Z.tgz

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'

const program = `
import assert from 'node:assert/strict'
import path from 'node:path'
import { createEmbedder, similarity } from 'cosmos-embed'

const clips = path.join(import.meta.dirname, 'node_modules/cosmos-embed/examples/clips')
const embedder = await createEmbedder()
try {
  const text = await embedder.embedText('a red circle')
  const [circle, triangle] = await Promise.all(
    ['red-circle.mp4', 'green-triangle.mp4'].map((name) => embedder.embedVideo(path.join(clips, name))),
  )
  assert.ok(Math.abs(Math.hypot(...text.embedding) - 1) < 1e-4, 'a vector of unit length')
  const [near, far] = [circle, triangle].map((video) => similarity(text.embedding, video.embedding))
  console.log('"a red circle": ' + near.toFixed(3) + ' with red-circle.mp4, ' + far.toFixed(3) + ' with green-triangle.mp4')
  assert.ok(near > far, 'text finds its video')
} finally {
  await embedder.dispose()
}
`

const [archive] = process.argv.slice(2)
if (!archive) {
  console.error('usage: node smoke.mjs cosmos-embed-X.Y.Z.tgz')
  process.exit(2)
}
const project = mkdtempSync(path.join(tmpdir(), 'cosmos-smoke-'))
process.once('exit', () => rmSync(project, { recursive: true, force: true }))
writeFileSync(path.join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
writeFileSync(path.join(project, 'main.js'), program)

console.log(`Node.js ${process.version} on ${process.platform} ${process.arch}`)
run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', path.resolve(archive)])
run('npx', ['--no-install', 'cosmos-embed', 'doctor'])
run(process.execPath, ['main.js'])

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: project, stdio: 'inherit' })
  if (status === 0) return
  console.error(`${command} ${args.join(' ')}: ${error?.message ?? `exit ${status}`}`)
  process.exit(1)
}
