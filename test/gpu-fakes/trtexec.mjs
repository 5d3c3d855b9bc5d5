#!/usr/bin/env node
// A stand-in for trtexec: accepts the flags of its major version, and writes a toy plan for the double of TensorRT
// (test/fakes/nvinfer/plan.h), for the version that COSMOS_FAKE_TENSORRT names.

import { writeFileSync } from 'node:fs'
import process from 'node:process'

const flags = process.argv.slice(2).map((argument) => argument.replace(/^--/, '').split(/=(.*)/s))
const all = (name) => flags.flatMap(([flag, value]) => (flag === name ? [value] : []))
// One entry per profile: shapes by input name.
const shapes = (name) =>
  all(name).map((text) => Object.fromEntries(text.split(',').map((input) => input.split(':'))))

const version = process.env.COSMOS_FAKE_TENSORRT ?? '10.16.1.11'
const known = [
  ...['onnx', 'saveEngine', 'profile', 'minShapes', 'optShapes', 'maxShapes', 'stronglyTyped', 'device'],
  ...['timingCacheFile', 'builderOptimizationLevel', 'tempdir', 'skipInference'],
  ...(version.startsWith('10.') ? ['fp16', 'bf16'] : []),
]
for (const [flag, value] of flags) {
  if (known.includes(flag) && !(flag.endsWith('Shapes') && value === '')) continue
  console.error(
    known.includes(flag) ? '[E] missing shape spec at profile index 0' : `[E] Unknown option: --${flag}`,
  )
  process.exit(1)
}

const [onnx] = all('onnx')
const [plan] = all('saveEngine')
const [min, opt, max] = [shapes('minShapes'), shapes('optShapes'), shapes('maxShapes')]
if (!onnx || !plan || max.length === 0) {
  console.error('[E] an argument is missing')
  process.exit(1)
}

const isVideo = 'videos' in max[0]
// Only the batch dimension of a video is open; for a text, the number of tokens is too.
const lines = Object.entries(max[0]).map(([name, shape]) =>
  isVideo ? `input ${name} uint8 ${shape.replace(/^\d+/, '-1')}` : `input ${name} int64 -1x-1`,
)
lines.push(`output ${isVideo ? 'video' : 'text'}_embeddings float32 -1x8`)
for (const [profile, inputs] of max.entries()) {
  for (const [name, largest] of Object.entries(inputs)) {
    lines.push(`profile ${name} ${min[profile][name]} ${opt[profile][name]} ${largest}`)
  }
}

const header = Buffer.alloc(28)
header.write('ftrt')
header.set(version.split('.').map(Number), 24)
console.log('[I] Building a toy plan')
writeFileSync(plan, Buffer.concat([header, Buffer.from(`${lines.join('\n')}\n`)]))
console.log('&&&& PASSED')
