// Renders clips of moving shapes with captions, once, and keeps them in .cache/bench-media.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** `format`: mp4, webm, or mixed. @returns objects with `file`, an absolute path, and `caption`. */
export function scenes({ count, seed, format = 'mp4' }) {
  const folder = path.join(root, '.cache', 'bench-media', `scenes-${seed}-${count}-${format}`)
  const list = path.join(folder, 'captions.jsonl')
  if (!existsSync(list)) render(folder, { count, seed, format })
  return readFileSync(list, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .map((scene) => ({ ...scene, file: path.join(folder, scene.file) }))
}

function render(folder, { count, seed, format }) {
  const renderer = path.join(root, 'scripts', 'demo-model', 'render.py')
  const size = ['--seed', seed, '--count', count, '--two-object-share', '0.25']
  const how = ['--format', format, '--jobs', '2', '--out', folder]
  const result = spawnSync('/usr/bin/python3', [renderer, ...size, ...how], { stdio: 'inherit' })
  if (result.status !== 0)
    throw new Error(`render.py failed: ${result.error?.message ?? `exit ${result.status}`}`)
}
