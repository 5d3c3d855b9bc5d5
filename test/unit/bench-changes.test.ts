import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { changes, describe as tell } from '../../scripts/bench/changes.mjs'
import { load, merge, oneRun, type Saved, save, type Tables } from '../../scripts/bench/history.mjs'

const machine = { cpu: 'A processor', cores: 2, memoryGiB: 24 }
const saved = (tables: Tables, about: Partial<Saved> = {}): Saved => ({
  ...{ format: 1, commit: '0123456789abcdef', changed: false, machine, tables },
  ...about,
})
const metric = (name: string, runs: number[]) => saved({ decode: { 'h264 · alone': { [name]: runs } } })
const compare = (name: string, before: number[], after: number[]) =>
  changes(metric(name, before), metric(name, after))

describe('a run', () => {
  it('is kept by the labels of its rows, number by number', () => {
    const rows = [
      {
        clip: 'h264 1080p',
        mode: 'busy',
        'clips/s': 2.5,
        'items/s': '12.5 + 3',
        'by NVDEC': '80 %',
        note: '',
      },
    ]
    expect(oneRun(rows)).toEqual({
      'h264 1080p · busy': {
        'clips/s': [2.5],
        'items/s (1)': [12.5],
        'items/s (2)': [3],
        'by NVDEC': [80],
      },
    })
  })

  it('needs a label for every row', () => {
    const rows = [
      { clip: 'a', 'clips/s': 1 },
      { clip: 'a', 'clips/s': 2 },
    ]
    expect(() => oneRun(rows)).toThrow('two rows are labelled "a"')
  })

  it('is added to those before it', () => {
    const one: Tables = { decode: { alone: { 'clips/s': [1] } } }
    const two: Tables = { decode: { alone: { 'clips/s': [2] }, busy: { 'clips/s': [3] } }, http: {} }
    expect(merge(one, two)).toEqual({
      decode: { alone: { 'clips/s': [1, 2] }, busy: { 'clips/s': [3] } },
      http: {},
    })
    expect(one).toEqual({ decode: { alone: { 'clips/s': [1] } } })
  })
})

describe('a comparison', () => {
  it('calls a change what no run of the other side reached', () => {
    const { changed } = compare('clips/s', [10, 11, 12, 10.5], [20, 21, 22, 20.5])
    expect(changed).toEqual([
      {
        where: 'decode: h264 · alone',
        metric: 'clips/s',
        before: { median: 10.75, least: 10, most: 12, runs: 4 },
        after: { median: 20.75, least: 20, most: 22, runs: 4 },
        change: expect.closeTo(0.93, 2),
        verdict: 'better',
      },
    ])
  })

  it.each([
    ['runs that overlap', [10, 11, 12, 13], [12.5, 14, 15, 16]],
    ['less than two in a hundred', [100, 100.1, 100.2, 100.3], [101, 101.1, 101.2, 101.3]],
    ['nothing', [5, 5, 5, 5], [5, 5, 5, 5]],
  ])('calls no change: %s', (_, before, after) => {
    expect(compare('clips/s', before, after)).toMatchObject({ compared: 1, tooFewRuns: 0, changed: [] })
  })

  it('judges nothing by so few runs that chance alone may part them', () => {
    expect(compare('clips/s', [1, 1, 1], [9, 9, 9])).toMatchObject({ tooFewRuns: 1, changed: [] })
    expect(compare('clips/s', [1, 1, 1, 1], [9, 9, 9, 9])).toMatchObject({ tooFewRuns: 0, changed: [{}] })
  })

  it.each([
    ['clips/s', 'better'],
    ['ours ÷ it', 'better'],
    ['text→video R@1', 'better'],
    ['CPU s/clip', 'worse'],
    ['p99 ms', 'worse'],
    ['peak MiB', 'worse'],
    ['32 MiB/s', 'better'],
    ['mean batch', 'other'],
  ])('knows which way is better: more %s is %s', (name, verdict) => {
    expect(compare(name, [1, 1, 1, 1], [2, 2, 2, 2]).changed).toMatchObject([{ verdict }])
  })

  it('takes only ratios and counts from two machines', () => {
    const runs = { 'clips/s': [1, 1, 1, 1], 'ours ÷ it': [2, 2, 2, 2] }
    const twice = { 'clips/s': [2, 2, 2, 2], 'ours ÷ it': [4, 4, 4, 4] }
    const other = saved({ decode: { alone: twice } }, { machine: { ...machine, cores: 64 } })
    const { changed, sameMachine } = changes(saved({ decode: { alone: runs } }), other)
    expect(sameMachine).toBe(false)
    expect(changed.map((each) => each.metric)).toEqual(['ours ÷ it'])
  })

  it('is told in lines, the worst first', () => {
    const before = saved({
      decode: { alone: { 'clips/s': [4, 4, 4, 4], 'p50 ms': [4, 4, 4, 4] }, gone: {} },
      http: {},
    })
    const after = saved({ decode: { alone: { 'clips/s': [5, 5, 5, 5], 'p50 ms': [6, 6, 6, 6] } } })
    expect(tell(changes(before, after))).toEqual([
      'worse: decode: alone, p50 ms: 4 (4–4) → 6 (6–6), +50.0 %',
      'better: decode: alone, clips/s: 4 (4–4) → 5 (5–5), +25.0 %',
      'only on one side: decode: gone',
      'only on one side: http',
      '2 of 2 numbers changed beyond the noise of their runs',
    ])
  })
})

describe('saved files', () => {
  const root = mkdtempSync(path.join(tmpdir(), 'bench-'))
  afterAll(() => rmSync(root, { recursive: true }))
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...args], {
      cwd: root,
      encoding: 'utf8',
    })

  it('are named by commit and machine, and hold every run of both', () => {
    git('init', '--quiet')
    writeFileSync(path.join(root, 'a'), '1')
    writeFileSync(path.join(root, '.gitignore'), 'bench-output/')
    git('add', '.')
    git('commit', '--quiet', '--message', 'first')
    const commit = git('rev-parse', 'HEAD').trim()
    save(root, machine, { decode: { alone: { 'clips/s': [1] } } })
    const file = save(root, machine, { decode: { alone: { 'clips/s': [2] } } })
    expect(path.basename(file)).toMatch(new RegExp(`^${commit.slice(0, 10)}-[0-9a-f]{8}\\.json$`))
    const tables = { decode: { alone: { 'clips/s': [1, 2] } } }
    expect(load(root, commit.slice(0, 7))).toEqual(saved(tables, { commit }))
    expect(load(root, file)).toEqual(saved(tables, { commit }))
  })

  it('say when the working tree had changes, and when a name fits none or several', () => {
    writeFileSync(path.join(root, 'a'), '2')
    expect(save(root, machine, {})).toContain('-changed-')
    const prefix = git('rev-parse', 'HEAD').slice(0, 7)
    expect(() => load(root, prefix)).toThrow('expected one file of bench-output/saved, found')
    expect(() => load(root, 'fffffff')).toThrow('found none; there are: ')
  })
})
