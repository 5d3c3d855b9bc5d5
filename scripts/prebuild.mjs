// Makes prebuilds/<platform>-<arch>/ with prebuildify and cmake-js: the addon, and ONNX Runtime's library beside it.
//
// prebuildify knows node-gyp only, so the build runs as its "preinstall" and its own build step is `true`. It takes
// the addon from build/Release and every libX.so.N that lies there.

import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = `${process.platform}-${process.arch}`
const release = path.join(root, 'build', 'Release')
const prebuilds = path.join(root, 'prebuilds', target)

rmSync(prebuilds, { recursive: true, force: true })
run('cmake-js', ['build', '--config', 'Release', '--log-level', 'error'])

// onnxruntime-node is a development dependency: only its library travels, not its 288 MB.
const onnxruntime = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))
copyFileSync(
  path.join(onnxruntime, 'bin', 'napi-v6', process.platform, process.arch, 'libonnxruntime.so.1'),
  path.join(release, 'libonnxruntime.so.1'),
)

run('prebuildify', [
  ...['--napi', '--strip', '--tag-libc', '--name', 'cosmos-embed'],
  ...['--preinstall', 'cmake-js build --config Release --log-level error', '--node-gyp', 'true'],
])

// prebuildify moves the addon away; a working tree goes on using its own build.
rmSync(path.join(release, 'libonnxruntime.so.1'))
const addon = readdirSync(prebuilds).find((file) => file.endsWith('.node'))
if (!addon) throw new Error(`prebuildify left no .node in ${prebuilds}`)
if (!existsSync(path.join(release, 'cosmos-embed.node'))) {
  copyFileSync(path.join(prebuilds, addon), path.join(release, 'cosmos-embed.node'))
}
for (const file of readdirSync(prebuilds).sort()) {
  console.log(
    `prebuilds/${target}/${file}  ${(statSync(path.join(prebuilds, file)).size / 1e6).toFixed(1)} MB`,
  )
}

function run(command, args) {
  const bin = path.join(root, 'node_modules', '.bin')
  const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` }
  const result = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' })
  if (result.status !== 0) {
    console.error(`prebuild: ${command} failed (${result.error?.message ?? `exit ${result.status}`})`)
    process.exit(1)
  }
}
