// Checks which file loads which, in TypeScript and C++, against scripts/lint/layers.mjs.

import { readFileSync } from 'node:fs'
import path from 'node:path'

/**
 * @typedef {{ target: string, line: number, dynamic: boolean }} Import of a file in the tree, by its path, or of
 *   anything else, as it is written
 * @typedef {Map<string, Import[]>} Graph by the path of the file below its tree's root
 */

/** Value imports: `import type` is erased, and so are its circles. */
export function typescriptGraph(root, files) {
  const names = String.raw`(?:[\w$]+\s*,\s*)?(?:\{[^}]*\}|\*(?:\s+as\s+[\w$]+)?|[\w$]+)`
  const fixed = String.raw`^(?:import|export)\s+(?!type\s)(?:${names}\s+from\s+)?'(?<fixed>[^']+)'`
  const pattern = new RegExp(String.raw`${fixed}|\bimport\(\s*'(?<dynamic>[^']+)'\s*\)`, 'gm')
  return graph(root, files, pattern, ({ fixed, dynamic }, file) => {
    const name = fixed ?? dynamic
    return name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : name
  })
}

/** Quoted includes are relative to the root; those in angle brackets keep them, which no file's name has. */
export function cppGraph(root, files) {
  const pattern = /^\s*#\s*include\s+(?:"(?<own>[^"]+)"|(?<foreign><[^>]+>))/gm
  return graph(root, files, pattern, ({ own, foreign }) => own ?? foreign)
}

function graph(root, files, pattern, target) {
  const read = (file) => {
    const text = readFileSync(path.join(root, file), 'utf8')
    return [...text.matchAll(pattern)].map((match) => ({
      target: target(match.groups, file),
      dynamic: match.groups.dynamic !== undefined,
      line: text.slice(0, match.index).split('\n').length,
    }))
  }
  return new Map(files.map((file) => [file, read(file)]))
}

/** @returns {string[]} one message for each import that goes up or sideways, and for each file without a layer. */
export function layerProblems(graph, layers) {
  const problems = []
  const unused = new Set(layers.flat())
  for (const [file, imports] of graph) {
    const own = layerOf(file, layers)
    if (!own) {
      problems.push(`${file}: belongs to no layer; add it to scripts/lint/layers.mjs`)
      continue
    }
    unused.delete(own.name)
    for (const { target, line } of imports.filter((each) => graph.has(each.target))) {
      const other = layerOf(target, layers)
      if (!other || other.name === own.name || other.level < own.level) continue
      const relation = other.level === own.level ? `is a peer of ${own.name}` : `is above ${own.name}`
      problems.push(`${file}:${line}: loads ${target}, but ${other.name} ${relation}`)
    }
  }
  return [...problems, ...[...unused].map((name) => `scripts/lint/layers.mjs: ${name} names no file`)]
}

/** The longest name that fits: a file before its folder, a folder before the one around it. */
function layerOf(file, layers) {
  let found
  for (const [level, names] of layers.entries()) {
    for (const name of names) {
      if (file !== name && !file.startsWith(`${name}/`)) continue
      if (!found || name.length > found.name.length) found = { name, level }
    }
  }
  return found
}

/** @returns {string[]} a message for each circle: the files in order, the first again at the end. */
export function circles(graph) {
  const found = []
  const finished = new Set()
  const visit = (file, trail) => {
    const start = trail.indexOf(file)
    if (start >= 0) found.push(`circle: ${[...trail.slice(start), file].join(' → ')}`)
    if (start >= 0 || finished.has(file)) return
    for (const { target } of graph.get(file)) if (graph.has(target)) visit(target, [...trail, file])
    finished.add(file)
  }
  for (const file of graph.keys()) visit(file, [])
  return found
}

/**
 * Dynamic imports are left out: the function that makes one decides where it runs.
 *
 * @returns {string[]} a message for each forbidden import that the files of `folders` reach, with the way to it
 */
export function portableProblems(graph, { folders, without }) {
  const problems = []
  const seen = new Set()
  const visit = (file, trail) => {
    if (seen.has(file)) return
    seen.add(file)
    for (const { target, line, dynamic } of graph.get(file)) {
      if (dynamic) continue
      if (without.test(target))
        problems.push(`${file}:${line}: loads ${target}, and ${trail[0]} must run without it${via(trail)}`)
      else if (graph.has(target)) visit(target, [...trail, target])
    }
  }
  for (const file of graph.keys()) if (folders.includes(file.split('/')[0])) visit(file, [file])
  return problems
}

function via(trail) {
  return trail.length > 1 ? ` (${trail.join(' → ')})` : ''
}

/** @returns {string[]} a message for each header of another project that is included outside of its place. */
export function headerProblems(graph, headers) {
  return [...graph].flatMap(([file, imports]) =>
    imports.flatMap(({ target, line }) => {
      const rule = headers.find(({ header }) => header.test(target.replace(/^<|>$/g, '')))
      if (!rule || graph.has(target)) return []
      if (rule.within.some((place) => file === place || file.startsWith(`${place}/`))) return []
      return [`${file}:${line}: includes ${target}, which only ${rule.within.join(' and ')} may`]
    }),
  )
}
