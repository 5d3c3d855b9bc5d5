import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import * as imports from '../../scripts/lint/imports.mjs'

const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function tree(files: Record<string, string>): [root: string, names: string[]] {
  const root = mkdtempSync(path.join(tmpdir(), 'layers-'))
  folders.push(root)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    writeFileSync(path.join(root, name), text)
  }
  return [root, Object.keys(files)]
}

const typescript = (files: Record<string, string>) => imports.typescriptGraph(...tree(files))
const cpp = (files: Record<string, string>) => imports.cppGraph(...tree(files))

describe('the graph of TypeScript', () => {
  it('has every form of a value import, and no type-only one', () => {
    const graph = typescript({
      'a.ts': `/** A file. */
import './effect.ts'
import one from './one.ts'
import * as two from './two.ts'
import three, { type Four } from './three.ts'
import {
  five,
} from '#five'
import type { Six } from './six.ts'
export type { Seven } from './seven.ts'
export interface Eight {}
export { nine } from './nine.ts'
export * from './ten.ts'
const eleven = await import('./eleven.ts')
`,
    })
    const names = ['effect', 'one', 'two', 'three', '#five', 'nine', 'ten', 'eleven']
    expect(graph.get('a.ts')?.map(({ target }) => target.replace('.ts', ''))).toEqual(names)
    expect(graph.get('a.ts')?.at(-1)).toEqual({ target: 'eleven.ts', line: 14, dynamic: true })
  })
})

describe('layers', () => {
  const layers = [['base'], ['left', 'right', 'left/shared.ts'], ['top.ts']]

  it('let a file load what is below it and what is in its folder', () => {
    const graph = typescript({
      'base/a.ts': `import './b.ts'`,
      'base/b.ts': '',
      'left/a.ts': `import '../base/a.ts'`,
      'left/shared.ts': '',
      'right/a.ts': '',
      'top.ts': `import './left/a.ts'\nimport './base/a.ts'`,
    })
    expect(imports.layerProblems(graph, layers)).toEqual([])
  })

  it('stop it from loading what is above it or beside it', () => {
    const graph = typescript({
      'base/a.ts': `\nimport '../top.ts'`,
      'left/a.ts': `import '../right/a.ts'`,
      'left/shared.ts': `import './a.ts'`,
      'right/a.ts': '',
      'top.ts': '',
    })
    expect(imports.layerProblems(graph, layers)).toEqual([
      'base/a.ts:2: loads top.ts, but top.ts is above base',
      'left/a.ts:1: loads right/a.ts, but right is a peer of left',
      'left/shared.ts:1: loads left/a.ts, but left is a peer of left/shared.ts',
    ])
  })

  it('have a place for every file, and a file for every place', () => {
    expect(imports.layerProblems(typescript({ 'new/a.ts': '' }), [['old']])).toEqual([
      'new/a.ts: belongs to no layer; add it to scripts/lint/layers.mjs',
      'scripts/lint/layers.mjs: old names no file',
    ])
  })
})

it('a circle is reported once, with the files on it', () => {
  const graph = cpp({
    'a.h': '#include "b.h"',
    'b.h': '#include "c.h"',
    'c.h': '#include "b.h"',
    'd.h': '#include "a.h"',
  })
  expect(imports.circles(graph)).toEqual(['circle: b.h → c.h → b.h'])
})

it('what runs in browsers may load Node.js on demand only', () => {
  const graph = typescript({
    'client/index.ts': `import '../base/files.ts'`,
    'client/media.ts': `const fs = await import('node:fs')`,
    'base/files.ts': `import 'node:fs'`,
    'cli/main.ts': `import 'node:fs'`,
  })
  expect(imports.portableProblems(graph, { folders: ['client'], without: /^node:/ })).toEqual([
    'base/files.ts:1: loads node:fs, and client/index.ts must run without it (client/index.ts → base/files.ts)',
  ])
})

it("another project's header has one place", () => {
  const graph = cpp({
    'ffmpeg/ffmpeg.h': '#include <libavcodec/avcodec.h>',
    'image/clip.cc': '#include <vector>\n#include <libavutil/frame.h>',
  })
  expect(imports.headerProblems(graph, [{ header: /^libav\w+\//, within: ['ffmpeg'] }])).toEqual([
    'image/clip.cc:2: includes <libavutil/frame.h>, which only ffmpeg may',
  ])
})
