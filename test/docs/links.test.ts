/** Links and paths of the documentation lead somewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

/** Every page in Markdown that a reader is sent to, except the generated reference. */
const pages = [
  ...readdirSync(root).filter((file) => file.endsWith('.md')),
  ...(readdirSync(path.join(root, 'docs'), { recursive: true }) as string[])
    .filter((file) => file.endsWith('.md') && !file.startsWith(`api${path.sep}`))
    .map((file) => path.join('docs', file)),
  ...readdirSync(path.join(root, 'examples')).map((name) => path.join('examples', name, 'README.md')),
  'models/demo/README.md',
  'scripts/demo-model/README.md',
]

/** The names that GitHub gives to the headings of a page. */
function anchors(text: string): Set<string> {
  const headings = withoutCode(text).matchAll(/^#+ (.+)$/gm)
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

function withoutCode(text: string): string {
  return text.replace(/^```.*?^```$/gms, '')
}

describe.each(pages)('%s', (page) => {
  it('links to files and headings that exist', () => {
    const broken = [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^[a-z]+:/i.test(link)) return []
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? page : path.join(path.dirname(page), file)
      if (!existsSync(path.join(root, target))) return [link]
      return anchor !== undefined && !anchors(read(target)).has(anchor) ? [link] : []
    })
    expect(broken).toEqual([])
  })
})

describe.each(['ARCHITECTURE.md', 'CONTRIBUTING.md'])('%s', (page) => {
  it('names files and folders that exist', () => {
    const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    const words = [...withoutCode(read(page)).matchAll(/`([^`\s]+)`/g)].map(([, word = '']) => word)
    const paths = words.filter((word) => folders.some(({ name }) => word.startsWith(`${name}/`)))
    expect(paths.length).toBeGreaterThan(10)
    expect(paths.filter((name) => !existsSync(path.join(root, name)))).toEqual([])
  })
})
