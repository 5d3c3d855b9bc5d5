/** The programs that README and docs show, and the files that they speak of. */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Snippet {
  /** File and number, e.g. "README.md 1". */
  name: string
  code: string
  /** Whether it ends by itself and needs nothing but this package. */
  runs: boolean
}

/** Every block of JavaScript of the documentation. Blocks in TypeScript are parts of programs. */
export function snippets(): Snippet[] {
  const files = ['README.md', ...readdirSync(path.join(root, 'docs')).map((file) => path.join('docs', file))]
  return files
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) => {
      const blocks = readFileSync(path.join(root, file), 'utf8').matchAll(/^```js\n(.*?)^```/gms)
      return [...blocks].map(([, code = ''], i) => ({
        name: `${file} ${i + 1}`,
        code,
        runs: !/from '(?!cosmos-embed'|node:)/.test(code),
      }))
    })
}

/** Puts the snippets, and the model and videos by the names that they use, into `folder`. */
export function writeSnippets(folder: string): (Snippet & { file: string })[] {
  const clips = path.join(root, 'examples', 'clips')
  mkdirSync(path.join(folder, 'models'), { recursive: true })
  mkdirSync(path.join(folder, 'clips'), { recursive: true })
  symlinkSync(path.join(root, 'models', 'demo'), path.join(folder, 'models', 'cosmos-embed1-224p'))
  const videos = {
    'red-circle.mp4': ['clips/a.mp4', 'big.mp4', 'clip.mp4', 'long.mkv'],
    'blue-circle.webm': ['clips/b.webm'],
  }
  for (const [from, names] of Object.entries(videos)) {
    for (const name of names) cpSync(path.join(clips, from), path.join(folder, name))
  }
  return snippets().map((snippet, i) => {
    const file = path.join(folder, `snippet-${i}.mjs`)
    writeFileSync(file, snippet.code)
    return { ...snippet, file }
  })
}
