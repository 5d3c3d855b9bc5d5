// Compares NVDEC and the CUDA kernels with the CPU path, clip by clip.

import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import binding from '#binding'
import { clips, decode, difference, noGpu, openGpu, shape } from './support.mjs'

const skip = noGpu || false

test('the GPU reports its properties and what its NVDEC decodes', { skip }, async (t) => {
  const gpu = await openGpu()
  const { name, computeCapability, driver, memoryBytes, freeBytes, nvdecEngines, nvdecReason, nvdec } =
    gpu.info
  t.diagnostic(`${name}, compute capability ${computeCapability}, CUDA ${driver}`)
  t.diagnostic(`${(memoryBytes / 2 ** 30).toFixed(1)} GiB, ${(freeBytes / 2 ** 30).toFixed(1)} free`)
  t.diagnostic(nvdecReason || `${nvdecEngines} NVDEC engines`)
  for (const { codec, chroma, bitDepth, supported, maxWidth, maxHeight } of nvdec) {
    const size = supported ? `up to ${maxWidth}x${maxHeight}` : 'no'
    t.diagnostic(`${codec} ${chroma} ${bitDepth}-bit: ${size}`)
  }
  assert.match(computeCapability, /^\d+\.\d$/)
  assert.ok(nvdecReason !== '' || nvdec.some(({ codec, supported }) => codec === 'h264' && supported))
  gpu.close()
})

test('the GPU gives the clips of the CPU', { skip }, async (t) => {
  const gpu = await openGpu()
  for (const file of skip ? [] : clips()) {
    await t.test(path.basename(file), async (t) => {
      const [cpu, onGpu] = [await decode(file), await decode(file, { gpu })]
      if (cpu instanceof Error || onGpu instanceof Error) {
        assert.deepEqual([onGpu.code, onGpu.message], [cpu.code, cpu.message])
        return
      }
      const { most, share } = difference(cpu.clip, onGpu.clip)
      const { codec, pixelFormat, decoder, decoderReason } = onGpu.report
      t.diagnostic(
        `${codec} ${pixelFormat} by ${decoder} ${decoderReason}: ${(100 * share).toFixed(3)} % differ, by at most ${most}`,
      )
      assert.equal(most, 0, `${(100 * share).toFixed(3)} % of the samples differ`)
      assert.deepEqual(onGpu.frames, cpu.frames)
      assert.equal(onGpu.report.frameCount, cpu.report.frameCount)
      assert.deepEqual(onGpu.report.warnings, cpu.report.warnings)
      if (decoder !== 'nvdec') assert.notEqual(decoderReason, '')
      for (const { clip } of [cpu, onGpu]) clip.release()
    })
  }
  gpu.close()
})

test('a lone clip is the same on any number of NVDEC engines', { skip }, async (t) => {
  const gpu = await openGpu()
  for (const file of skip ? [] : clips()) {
    const first = await decode(file, { gpu })
    if (first instanceof Error || first.report.decoder !== 'nvdec') continue
    for (let i = 0; i < 3; i += 1) {
      const again = await decode(file, { gpu })
      assert.equal(difference(first.clip, again.clip).most, 0, `${path.basename(file)}, time ${i}`)
      again.clip.release()
    }
    first.clip.release()
  }
  const { decodersCreated } = gpu.stats()
  t.diagnostic(`decoders created: ${decodersCreated}`)
  gpu.close()
})

test('clips of other shapes are the same too', { skip }, async () => {
  const gpu = await openGpu()
  const [file] = clips()
  for (const other of [
    { frames: 1, height: 448, width: 448 },
    { frames: 3, height: 97, width: 333 },
    { frames: 8, height: 1080, width: 16 },
  ]) {
    const [cpu, onGpu] = [await decode(file, other), await decode(file, { ...other, gpu })]
    assert.equal(difference(cpu.clip, onGpu.clip).most, 0, JSON.stringify(other))
  }
  gpu.close()
})

test('the GPU gives the windows of the CPU', { skip }, async () => {
  const gpu = await openGpu()
  const windows = { seconds: 1, stride: 0.5 }
  for (const file of clips().slice(0, 4)) {
    const [cpu, onGpu] = [await segments(file, {}, windows), await segments(file, { gpu }, windows)]
    assert.equal(onGpu.length, cpu.length)
    for (const [i, segment] of onGpu.entries()) {
      assert.deepEqual(segment.frames, cpu[i].frames)
      assert.equal(difference(segment.clip, cpu[i].clip).most, 0, `${file}, window ${i}`)
    }
  }
  gpu.close()
})

test('files that a decoder process reads give the same clips and windows', { skip }, async (t) => {
  const gpu = await openGpu()
  const decoders = await binding.openDecoderPool({ maxBytes: 2 ** 31, idle: 1 }).promise
  const spent = { here: 0, there: 0 }
  for (const file of clips()) {
    const [own, other] = [await decode(file, { gpu }), await decode(file, { gpu, decoders })]
    if (own instanceof Error || other instanceof Error) {
      assert.deepEqual([other.code, other.message], [own.code, own.message])
      continue
    }
    assert.equal(difference(own.clip, other.clip).most, 0, file)
    assert.equal(other.report.decoder, own.report.decoder, other.report.decoderReason)
    assert.deepEqual(other.frames, own.frames)
    spent.here += own.report.decodeMs
    spent.there += other.report.decodeMs
    for (const { clip } of [own, other]) clip.release()
  }
  t.diagnostic(`decoding took ${spent.here.toFixed(1)} ms, handed over ${spent.there.toFixed(1)} ms`)
  const windows = { seconds: 1, stride: 0.5 }
  const [file] = clips()
  const [own, other] = [
    await segments(file, { gpu }, windows),
    await segments(file, { gpu, decoders }, windows),
  ]
  assert.equal(other.length, own.length)
  for (const [i, { clip }] of other.entries()) assert.equal(difference(clip, own[i].clip).most, 0)
  decoders.close()
  gpu.close()
})

async function segments(file, options, windows) {
  const reader = await binding.openSegments({ path: file }, { ...shape, ...options }, windows).promise
  const found = []
  for (let next = await reader.next().promise; next; next = await reader.next().promise) found.push(next)
  reader.close()
  return found
}

test('concurrent clips equal sequential ones, and leave nothing allocated on the GPU', {
  skip,
}, async (t) => {
  const files = clips()
  const alone = new Map()
  // What is free while no GPU is open: an open one keeps decoders and buffers for later clips, of the sizes that it happened
  // to need last.
  const free = async () => {
    let most = 0
    // A GPU is closed in the background.
    for (let i = 0; i < 10; i += 1) {
      await setTimeout(100)
      const gpu = await openGpu()
      most = Math.max(most, gpu.info.freeBytes)
      gpu.close()
    }
    return most
  }
  const round = async (gpu) => {
    const all = await Promise.all(
      files.flatMap((file) => [file, file]).map(async (file) => [file, await decode(file, { gpu })]),
    )
    for (const [file, decoded] of all) {
      const expected = alone.get(file)
      if (decoded instanceof Error) assert.equal(decoded.message, expected)
      else assert.ok(Buffer.from(decoded.clip.toBytes()).equals(expected), path.basename(file))
      if (!(decoded instanceof Error)) decoded.clip.release()
    }
  }
  const rounds = async (count) => {
    const gpu = await openGpu()
    for (let i = 0; i < count; i += 1) await round(gpu)
    const { decodersCreated, decodersReused, decodersReconfigured } = gpu.stats()
    t.diagnostic(
      `decoders: ${decodersCreated} created, ${decodersReused} reused, ${decodersReconfigured} reconfigured`,
    )
    gpu.close()
    return free()
  }
  const gpu = await openGpu()
  for (const file of files) {
    const decoded = await decode(file, { gpu })
    alone.set(file, decoded instanceof Error ? decoded.message : Buffer.from(decoded.clip.toBytes()))
    if (!(decoded instanceof Error)) decoded.clip.release()
  }
  gpu.close()
  const before = await rounds(1)
  const lost = before - (await rounds(5))
  t.diagnostic(`free memory changed by ${(lost / 2 ** 20).toFixed(1)} MiB over 5 rounds`)
  assert.ok(lost < 16 * 2 ** 20, `${lost} bytes of GPU memory were lost`)
})
