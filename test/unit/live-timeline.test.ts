/** What a live stream that lies about its times or its tables can make the process do. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { SectionReader, tablesFor } from '../../src/live/mpegts-sections.ts'
import { Timeline } from '../../src/live/timeline.ts'
import type { Track, Unit } from '../../src/live/units.ts'
import { random } from '../embedder/random.ts'

const options = { strideSeconds: 1, windowSeconds: 1, needsPictureBefore: false, maxBytes: 1 << 26 }

describe('Timeline', () => {
  it.each([1, 25, 90_000])('makes no windows of one damaged time (timescale %i)', (timescale) => {
    const track: Track = { timescale, assemble: () => new Uint8Array(1) }
    const unit = (dts: number, offset: number, key = false): Unit => {
      return { track, dts, pts: dts + offset, key, bytes: new Uint8Array(1) }
    }
    for (const seconds of [10.5, 1e4, 1e6, 2 ** 31 - 1]) {
      for (const sign of [1, -1]) {
        const timeline = new Timeline(options)
        timeline.add(unit(0, 0, true), 0)
        for (let second = 1; second < 3; second++) timeline.add(unit(second * timescale, 0), 0)
        timeline.add(unit(3 * timescale, sign * Math.ceil(seconds * timescale)), 0)
        timeline.add(unit(3 * timescale, 0), 0)
        timeline.end(0)
        expect(timeline.waiting).toBeLessThanOrEqual(4)
        expect(timeline.waiting).toBeGreaterThan(1)
      }
    }
  })

  it('looks at each keyframe a few times, however many a window has', () => {
    let reads = 0
    const track: Track = { timescale: 90_000, assemble: () => new Uint8Array(1) }
    const timeline = new Timeline(options)
    const count = 5000
    for (let at = 0; at < count; at++) {
      const unit = { track, dts: at, key: true, bytes: new Uint8Array(1) } as Unit
      Object.defineProperty(unit, 'pts', {
        get: () => {
          reads++
          return at + 90_000
        },
      })
      timeline.add(unit, 0)
    }
    expect(reads).toBeLessThan(30 * count)
  })
})

describe('SectionReader', () => {
  const table = tablesFor({ type: 0x1b, pid: 0x100, descriptors: new Uint8Array(0) }).subarray(188 + 4)

  it('joins a section from parts of any length, empty ones too', () => {
    const below = random(3)
    for (let round = 0; round < 100; round++) {
      const reader = new SectionReader()
      const found: Uint8Array[] = []
      for (let at = 0, begins = true; at < table.length; begins = false) {
        const next = Math.min(table.length, at + below(6) + (begins ? 2 : 0))
        const section = reader.add(table.subarray(at, next), begins)
        if (section) found.push(section)
        at = next
      }
      expect(found.map(([type]) => type)).toEqual([2])
    }
  })

  it('joins nothing for parts without bytes', () => {
    const reader = new SectionReader()
    reader.add(table.subarray(0, 3), true)
    const concat = vi.spyOn(Buffer, 'concat')
    onTestFinished(() => concat.mockRestore())
    for (let at = 0; at < 1000; at++) expect(reader.add(new Uint8Array(0), false)).toBeUndefined()
    expect(concat).not.toHaveBeenCalled()
  })
})
