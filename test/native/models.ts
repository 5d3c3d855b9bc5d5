// The demo model as an engine of the addon, with ONNX Runtime from the devDependency.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import type { NativeEngineOptions } from '#binding'

const root = path.join(import.meta.dirname, '../..')
const onnxruntime = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'))

export const engineOptions: NativeEngineOptions = {
  backend: 'onnxruntime',
  library: path.join(onnxruntime, 'bin/napi-v6', process.platform, process.arch, 'libonnxruntime.so.1'),
  video: path.join(root, 'models/demo/video.onnx'),
  text: path.join(root, 'models/demo/text.onnx'),
  frames: 8,
  height: 224,
  width: 224,
  embeddingDim: 256,
  padTokenId: 0,
  intraOpThreads: 1,
}

export const noOnnxRuntime = !existsSync(engineOptions.library)
if (noOnnxRuntime) console.warn(`skipped: tests that encode, because there is no ${engineOptions.library}`)
