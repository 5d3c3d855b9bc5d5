/** Expands patterns of file names that the shell did not: `*`, `?`, `[a-c]`, `{a,b}`, and `**` for any folders. */
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'

export function isGlob(word: string): boolean {
  return /[*]|\[.+\]|\{.*,.*\}/.test(word) || /^\S*[/.]\S*\?\S*$/.test(word)
}

/** The matching files, sorted. Hidden files match only if the pattern's part begins with a dot. */
export async function expandGlob(pattern: string): Promise<string[]> {
  const found = new Set<string>()
  for (const each of alternatives(pattern)) {
    const isAbsolute = path.isAbsolute(each)
    const parts = each.split('/').filter((part) => part !== '' && part !== '.')
    for (const file of await matches(isAbsolute ? '/' : '', parts)) found.add(file)
  }
  return [...found].sort()
}

/** Expands braces: `a{b,c}` becomes `ab` and `ac`. */
function alternatives(pattern: string): string[] {
  const braces = /\{([^{}]*,[^{}]*)\}/.exec(pattern)
  if (!braces) return [pattern]
  const before = pattern.slice(0, braces.index)
  const after = pattern.slice(braces.index + braces[0].length)
  return (braces[1] ?? '').split(',').flatMap((each) => alternatives(before + each + after))
}

async function matches(folder: string, [part, ...rest]: readonly string[]): Promise<string[]> {
  if (part === undefined) return (await isKind(folder, 'isFile')) ? [folder] : []
  if (part !== '**' && !isGlob(`./${part}`)) return matches(path.join(folder, part), rest)
  const entries = await readdir(folder || '.', { withFileTypes: true }).catch(() => [])
  if (part === '**') {
    // Does not follow links to folders: they may form a cycle.
    const deeper = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    const below = deeper.map((entry) => matches(path.join(folder, entry.name), [part, ...rest]))
    return (await Promise.all([matches(folder, rest), ...below])).flat()
  }
  const wanted = toRegExp(part)
  const named = entries.filter(
    ({ name }) => wanted.test(name) && name.startsWith('.') === part.startsWith('.'),
  )
  return (await Promise.all(named.map(({ name }) => matches(path.join(folder, name), rest)))).flat()
}

function toRegExp(part: string): RegExp {
  const source = part.replace(/\[!?[^\]]+\]|[*?]|[^*?[\]]+|[[\]]/g, (piece) => {
    if (piece === '*') return '.*'
    if (piece === '?') return '.'
    if (piece.length > 2 && piece.startsWith('[')) {
      return `[${piece.slice(1, -1).replace(/^!/, '^').replace(/[\\[]/g, '\\$&')}]`
    }
    return piece.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${source}$`, 's')
}

async function isKind(file: string, kind: 'isFile'): Promise<boolean> {
  return (await stat(file).catch(() => undefined))?.[kind]() === true
}
