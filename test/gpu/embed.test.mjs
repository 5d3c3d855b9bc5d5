// The whole path on a GPU: compares vectors of texts and videos with those that the CPU gives for the same model.

import assert from 'node:assert/strict'
import path from 'node:path'
import process from 'node:process'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createEmbedder } from '../../dist/index.js'
import { clips, noGpu } from './support.mjs'

const model = process.env.COSMOS_EMBED_GPU_MODEL
const options = {
  ...(model && { model }),
  // Without CPU workers, so that NVDEC decodes everything.
  cuda: { buildEngine: process.env.COSMOS_EMBED_GPU_BUILD ?? 'auto', cpuWorkers: 0 },
}

/**
 * What the machine lacks for an embedder on the GPU, or "". Building the demo model's engine takes a minute or two; if the
 * build or the engine fails, so does the suite.
 */
async function whyNoEngine() {
  if (noGpu) return noGpu
  try {
    const embedder = await createEmbedder({ device: 'cuda', ...options })
    await embedder.dispose()
    return ''
  } catch (error) {
    if (error.code !== 'library') throw error
    return error.message
  }
}

const skip = (await whyNoEngine()) || false

/** Runs `use` with embedders and disposes of them afterwards. (Node 20 has no `await using`.) */
async function withEmbedders(devices, use) {
  const embedders = []
  try {
    for (const device of devices) {
      const own = device === 'cuda' ? options : { ...(model && { model }) }
      embedders.push(await createEmbedder({ device, ...own }))
    }
    await use(...embedders)
  } finally {
    for (const embedder of embedders) await embedder.dispose()
  }
}

function cosine(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0)
}

test('the GPU gives the vectors of the CPU', { skip }, (t) =>
  withEmbedders(['cuda', 'cpu'], async (gpu, cpu) => {
    t.diagnostic(JSON.stringify(gpu.info().device))
    for (const text of ['a red circle', 'two shapes that move apart, slowly', 'x'.repeat(600)]) {
      const [left, right] = await Promise.all([gpu.embedText(text), cpu.embedText(text)])
      const similarity = cosine(left.embedding, right.embedding)
      t.diagnostic(`${JSON.stringify(text.slice(0, 20))}: cosine ${similarity.toFixed(5)}`)
      assert.ok(similarity > 0.999, text)
    }
    for (const file of clips()) {
      const [left, right] = await Promise.allSettled([gpu.embedVideo(file), cpu.embedVideo(file)])
      assert.equal(left.status, right.status, path.basename(file))
      if (left.status === 'rejected') continue
      const similarity = cosine(left.value.embedding, right.value.embedding)
      t.diagnostic(`${path.basename(file)} by ${left.value.media.decoder}: cosine ${similarity.toFixed(5)}`)
      assert.ok(similarity > 0.998, path.basename(file))
    }
  }),
)

test('batches of any size give the vectors of single items', { skip }, () =>
  withEmbedders(['cuda'], async (gpu) => {
    const texts = Array.from(
      { length: 64 },
      (_, i) => `a blue square number ${i}${' that moves'.repeat(i % 9)}`,
    )
    const alone = []
    for (const text of texts) alone.push((await gpu.embedText(text)).embedding)
    for (const count of [1, 2, 3, 7, 16, 33, 64]) {
      const { data } = await gpu.embed({ request_type: 'bulk_text', input: texts.slice(0, count) })
      for (const [i, { embedding }] of data.entries()) {
        assert.ok(cosine(embedding, alone[i]) > 0.999, `${count}: ${i}`)
      }
    }
  }),
)

test('terminating a busy worker does not affect other threads', { skip }, async () => {
  const script = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(workerData.url).then(async ({ createEmbedder }) => {
      const embedder = await createEmbedder({ device: 'cuda', ...workerData.options })
      parentPort.postMessage('ready')
      for (;;) await Promise.allSettled(workerData.files.map((file) => embedder.embedVideo(file, { priority: 'bulk' })))
    })`
  const url = new URL('../../dist/index.js', import.meta.url).href
  const worker = new Worker(script, { eval: true, workerData: { url, options, files: clips().slice(0, 6) } })
  await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  await new Promise((resolve) => setTimeout(resolve, 300))
  await worker.terminate()
  await withEmbedders(['cuda'], async (gpu) => {
    const { embedding } = await gpu.embedText('still here')
    assert.equal(embedding.length, gpu.info().model.embeddingDim)
  })
})
