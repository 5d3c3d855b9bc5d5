// The GPU suite uses Node's own test runner, so that it needs only Node, the addon and these files.

import { readdirSync } from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import binding from '#binding'
import { gpuClips } from '../../scripts/gpu/clips.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { COSMOS_EMBED_CUDA: cuda, COSMOS_EMBED_NVCUVID: nvcuvid } = process.env

/** Libraries for openGpu and probeGpu: named by the environment, or else found by the dynamic loader. */
export const libraries = { ...(cuda && { cuda }), ...(nvcuvid && { nvcuvid }) }

/** Why the suite cannot run, or "". */
export const noGpu = await whyNoGpu()
if (noGpu) console.log(`skipped, all of it: ${noGpu}`)

/** Clips of every codec and of the examples, or only those of the folder COSMOS_EMBED_GPU_CLIPS. */
export function clips() {
  const only = process.env.COSMOS_EMBED_GPU_CLIPS
  if (only) return videosIn(only)
  const made = gpuClips(path.join(root, '.cache', 'gpu-clips'))
  if (made.reason) console.log(`fewer clips: ${made.reason}`)
  return [...made.clips, ...videosIn(path.join(root, 'examples', 'clips'))]
}

function videosIn(folder) {
  const names = readdirSync(folder).filter((name) => /\.(mp4|mkv|webm|mov|ts|mpg|avi|h264)$/.test(name))
  return names.sort().map((name) => path.join(folder, name))
}

export const shape = { frames: 8, height: 224, width: 224 }

export async function openGpu(options = {}) {
  // Without CPU workers, so that NVDEC decodes whatever it can.
  return binding.openGpu({ device: 0, libraries, cpuWorkers: 0, ...options }).promise
}

/** @returns the decoded clip, or the error. */
export async function decode(file, options) {
  try {
    return await binding.decodeClip({ path: file }, { ...shape, ...options }).promise
  } catch (error) {
    return error
  }
}

/** How two clips of the same shape differ: the largest difference of 255, and the share of differing samples. */
export function difference(a, b) {
  const [left, right] = [a.toBytes(), b.toBytes()]
  let most = 0
  let differing = 0
  for (let i = 0; i < left.length; i += 1) {
    const distance = Math.abs(left[i] - right[i])
    if (distance > most) most = distance
    if (distance > 0) differing += 1
  }
  return { most, share: differing / left.length }
}

async function whyNoGpu() {
  try {
    const { devices } = await binding.probeGpu(libraries).promise
    return devices.length > 0 ? '' : 'the driver sees no GPU'
  } catch (error) {
    return error.message
  }
}
