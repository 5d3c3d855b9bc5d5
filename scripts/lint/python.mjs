// Ruff over Python. Its WebAssembly build comes with npm, so that linting needs no Python environment.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { PositionEncoding, Workspace } from '@astral-sh/ruff-wasm-nodejs'

const settings = {
  'target-version': 'py311',
  'line-length': 110,
  lint: {
    select: ['B', 'E4', 'E7', 'E9', 'F', 'RUF100'],
    ignore: ['B905'], // lists of unequal length are rare here, and strict=True everywhere is noise
  },
}

/** @returns {string[]} problems. With `fix`, rewrites what the formatter would. */
export function checkPython(root, files, { fix = false } = {}) {
  const workspace = new Workspace(settings, PositionEncoding.Utf16)
  return files.flatMap((file) => {
    const name = path.join(root, file)
    const text = readFileSync(name, 'utf8')
    const formatted = workspace.format(text)
    if (fix && formatted !== text) writeFileSync(name, formatted)
    const problems = workspace
      .check(fix ? formatted : text)
      .map(
        ({ code, message, start_location: at }) =>
          `${file}:${at.row}:${at.column}: ${code ?? 'syntax'} ${message}`,
      )
    return fix || formatted === text ? problems : [`${file}: not formatted; npm run format`, ...problems]
  })
}
