/** docs/performance.md is made from saved results; what is written by hand stays. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { asMeasurement, documentProblems, record, writeDocument } from '../../scripts/bench/document.mjs'

const about = (date: string, cpu = 'A processor') => ({
  command: 'npm run bench path -- --files 10',
  machine: { cpu, cores: 2, memoryGiB: 24, node: '20.1.0', version: '0.1.0', date },
})
const rows = (rate: number) => [
  { program: 'cosmos-embed', 'clips/s': rate, note: '' },
  { program: 'another', 'clips/s': 1, note: 'slow' },
]

function documentOf(text: string) {
  const root = mkdtempSync(path.join(tmpdir(), 'bench-document-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  mkdirSync(path.join(root, 'docs'))
  const file = path.join(root, 'docs', 'performance.md')
  writeFileSync(file, text)
  return { root, read: () => readFileSync(file, 'utf8'), write: (made: string) => writeFileSync(file, made) }
}

const marked = '# Speed\n\nProse.\n\n<!-- results: path -->\n<!-- end of results -->\n\nMore prose.\n'

describe('the document', () => {
  it('has the last measurement with its machine, the spread, and each row as it was before', () => {
    const { root, read } = documentOf(marked)
    record(root, 'path', asMeasurement(rows(2), about('2026-01-01', 'An old processor')))
    const once = asMeasurement(rows(3), { ...about('2026-02-02'), versions: { another: '1.2' } })
    record(root, 'path', asMeasurement(rows(5), about('2026-02-02'), once))
    expect(writeDocument(root)).toEqual([])
    expect(read()).toBe(
      [
        '# Speed\n\nProse.\n\n<!-- results: path -->',
        '`npm run bench path -- --files 10`, 2 cores of A processor, 24 GiB, Node 20.1.0, cosmos-embed 0.1.0, 2026-02-02.',
        'Medians of 2 runs, with the least and the most.',
        'The numbers before are of 2 cores of An old processor, 24 GiB, Node 20.1.0.\n',
        '| program | clips/s | note |',
        '|---|---|---|',
        '| **cosmos-embed** | 4 (3–5) | |',
        '| before, 2026-01-01 | 2 | |',
        '| another | 1 | slow |',
        '| before, 2026-01-01 | 1 | slow |',
        '<!-- end of results -->\n\nMore prose.\n',
      ].join('\n'),
    )
    expect(documentProblems(root)).toEqual([])
  })

  it('is refused when it was changed by hand, and when markers and results are not of each other', () => {
    const { root, read, write } = documentOf(marked)
    expect(documentProblems(root)).toEqual(['path: there are no results'])
    record(root, 'path', asMeasurement(rows(2), about('2026-01-01')))
    writeDocument(root)
    write(read().replace('| 2 |', '| 9 |'))
    expect(documentProblems(root)).toEqual([expect.stringContaining('npm run bench docs')])
    expect(writeDocument(root)).toEqual([])
    expect(read()).toContain('| 2 |')
    record(root, 'other', asMeasurement(rows(2), about('2026-01-01')))
    expect(documentProblems(root)).toEqual([expect.stringContaining('has no "<!-- results: other -->"')])
  })

  it('is refused when it has a table that no results make', () => {
    const { root } = documentOf('# Speed\n\n| program | clips/s |\n|---|---|\n| another | 1 |\n')
    expect(documentProblems(root)).toEqual([expect.stringContaining('| program | clips/s |')])
  })
})
