import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { all, some } from '../../scripts/compare/combinations.mjs'
import { setEveryBlockKey } from '../../scripts/compare/edits.mjs'
import { explain, rows } from '../../scripts/compare/explain.mjs'
import { differences } from '../../scripts/compare/judge.mjs'
import { varied } from '../../scripts/compare/variety.mjs'

/** The results for two frames in the form that both sides use. */
function answers() {
  return {
    library: { runs: [{ count: 2, times: [0, 0.04], warnings: [] as string[], sizes: [[4, 4]] }] } as Answer,
    peer: {
      count: 2,
      tick: 0.001,
      step: 0.04,
      epochs: 1,
      errors: 0,
      corrupt: 0,
      runs: [
        {
          count: 2,
          indices: [0, 1],
          times: [0, 0.04],
          pictures: [
            { wanted: 0, nearest: 0, mean: 0.2, max: 2 },
            { wanted: 1, nearest: 1, mean: 0.2, max: 2 },
          ],
        },
      ],
    } as Answer,
  }
}
// biome-ignore lint/suspicious/noExplicitAny: spoiled on purpose
type Answer = any

function whatDiffers(spoil: (library: Answer, peer: Answer) => void): string[] {
  const { library, peer } = answers()
  spoil(library, peer)
  return differences(library, peer).map(({ what }) => what)
}

describe('differences', () => {
  test('are none when both sides agree', () => {
    expect(whatDiffers(() => {})).toEqual([])
  })

  test('are a count, and then no times', () => {
    const spoil = (library: Answer) => Object.assign(library.runs[0], { count: 3, times: [0, 9] })
    expect(whatDiffers(spoil)).toEqual(['count'])
  })

  test('are another frame, or a frame that looks different', () => {
    expect(
      whatDiffers((_, peer) => Object.assign(peer.runs[0].pictures[0], { nearest: 1, mean: 40, max: 200 })),
    ).toEqual(['frames'])
    expect(whatDiffers((_, peer) => Object.assign(peer.runs[0].pictures[0], { mean: 2, max: 9 }))).toEqual([
      'pictures',
    ])
    expect(
      whatDiffers((_, peer) => Object.assign(peer.runs[0].pictures[0], { size: [8, 8], mean: undefined })),
    ).toEqual(['pictures'])
    expect(whatDiffers((_, peer) => Object.assign(peer.runs[0].pictures[1], { mean: 60, max: 200 }))).toEqual(
      ['last frame'],
    )
  })

  test('are times, to one tick; after a clock reset, to one frame', () => {
    const late = (library: Answer) => Object.assign(library.runs[0], { times: [0, 0.06] })
    expect(whatDiffers(late)).toEqual(['times'])
    expect(
      whatDiffers((library, peer) => {
        late(library)
        peer.epochs = 2
      }),
    ).toEqual([])
  })

  test('are an error, a crash, and a file that only this library reads', () => {
    expect(whatDiffers((library) => Object.assign(library.runs[0], { error: 'media', message: '' }))).toEqual(
      ['refused'],
    )
    expect(whatDiffers((library) => Object.assign(library, { ended: 'SIGABRT', said: '' }))).toEqual([
      'crash',
    ])
    expect(whatDiffers((_, peer) => Object.assign(peer, { error: 'InvalidDataError' }))).toEqual([
      'only library',
    ])
    const both = (library: Answer, peer: Answer) => {
      library.runs[0].error = 'media'
      peer.error = 'InvalidDataError'
    }
    expect(whatDiffers(both)).toEqual([])
  })
})

describe('reasons', () => {
  const result = (name: string, what?: string) => ({
    ...answers(),
    name,
    runs: [{ frames: 8 }],
    differs: what === undefined ? [] : [{ what, run: 0, detail: 'one, not two' }],
  })
  const known = [{ video: /^cut /, what: ['count'], reason: 'it is cut', avcodec: [59] }]

  test('a known difference has a reason, another one of the same video does not', () => {
    const found = explain(
      [result('cut mp4', 'count'), result('cut mkv', 'times'), result('whole mp4')],
      known,
      59,
    )
    expect(found.known.map(({ name }) => name)).toEqual(['cut mp4'])
    expect(found.unknown.map(({ name }) => name)).toEqual(['cut mkv'])
    expect(found.same.map(({ name }) => name)).toEqual(['whole mp4'])
    expect(found.stale).toEqual([])
    expect(rows([...found.known, ...found.unknown]).map((row) => row.at(-1))).toEqual([
      'it is cut',
      'NOT KNOWN',
    ])
  })

  test('an entry that fits a video which no longer differs is stale, but not with another FFmpeg', () => {
    expect(explain([result('cut mp4')], known, 59).stale).toEqual(known)
    expect(explain([result('cut mp4')], known, 61).stale).toEqual([])
    expect(explain([result('whole mp4')], known, 59).stale).toEqual([])
  })

  test('reported damage is a reason for as many frames as it covers', () => {
    const damaged = result('from a camera', 'count')
    damaged.peer.corrupt = 1
    expect(explain([damaged], [], 59).unknown).toHaveLength(1)
    damaged.library.runs[0].warnings.push('1 packet is damaged')
    damaged.library.runs[0].count = 3
    expect(explain([damaged], [], 59).unknown).toHaveLength(0)
    damaged.library.runs[0].count = 4
    expect(explain([damaged], [], 59).unknown).toHaveLength(1)
  })
})

describe('generated videos', () => {
  test('are the same for the same seed and differ for another', () => {
    const names = (seed: number) => some(400, seed).map(({ name }) => name)
    expect(names(1)).toEqual(names(1))
    expect(names(2)).not.toEqual(names(1))
    expect(new Set(names(1)).size).toBe(400)
  })

  test('with several peculiarities are the same for the same seed, too', () => {
    const names = (seed: number) => varied(60, seed).map(({ name }) => name)
    expect(names(1)).toEqual(names(1))
    expect(names(2)).not.toEqual(names(1))
    expect(new Set(names(1)).size).toBe(60)
  })

  test('cover every codec, container and kind of damage, whatever the seed', () => {
    const pairs = (list: ReturnType<typeof all>) =>
      new Set(
        list.flatMap(({ stream, container, treatment }) => [
          `${stream.codec} in ${container.name}`,
          `${container.name}, ${treatment.name}`,
        ]),
      )
    expect(pairs(some(400, 7))).toEqual(pairs(all()))
  })
})

test('every block of a Matroska file can be made a keyframe', () => {
  const made = execFileSync('ffmpeg', [
    ...['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=s=64x64:r=25:d=1', '-c:v', 'ffv1', '-g', '25'],
    ...['-f', 'matroska', 'pipe:1'],
  ])
  const flags = (bytes: Uint8Array) =>
    execFileSync('ffprobe', ['-v', 'error', '-show_entries', 'packet=flags', '-of', 'csv=p=0', '-'], {
      input: bytes,
    })
      .toString()
      .match(/K_/g)?.length
  expect(flags(made)).toBe(1)
  expect(flags(setEveryBlockKey(made))).toBe(25)
})
