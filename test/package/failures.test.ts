/** Broken installations: createEmbedder explains what is wrong and how to fix it, and importing never fails. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { requireGlibc } from './elf-edit.ts'
import { packed, run } from './support.ts'

const scratch = mkdtempSync(path.join(path.dirname(packed.project), 'failures-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const platform = `linux-${process.arch}`
const addonName = 'cosmos-embed.glibc.node'
const libraries = readdirSync(
  path.join(packed.project, 'node_modules', 'cosmos-embed', 'prebuilds', platform),
).filter((file) => !file.endsWith('.json'))

/** Copies the project and changes its package. The files are hard links, so `change` must replace them, not write to them. */
function broken(change: (prebuilds: string, folder: string) => void): string {
  const project = mkdtempSync(path.join(scratch, 'project-'))
  execFileSync('cp', ['-al', `${packed.project}/.`, project])
  const folder = path.join(project, 'node_modules', 'cosmos-embed')
  change(path.join(folder, 'prebuilds', platform), folder)
  return project
}

function replace(file: string, change: (bytes: Buffer) => Buffer | string) {
  const bytes = change(readFileSync(file))
  rmSync(file)
  writeFileSync(file, bytes)
}

/** The message of createEmbedder in that project, and the advice at its end. */
function failure(cwd: string, { node = process.execPath, env = {}, options = [] as string[] } = {}) {
  const { status, signal, stdout, stderr } = run(node, [...options, 'failing.mjs'], { cwd, env })
  if (status !== 0) throw new Error(`exit ${status ?? signal}: ${stdout}${stderr}`)
  const { code, message } = JSON.parse(stdout)
  const [, advice = ''] = message.split('Possible causes and remedies:\n')
  return { code, message, advice: advice.split('\n').filter(Boolean) }
}

describe('on another platform than the package was installed for', () => {
  it('names the platform that the package was installed for', () => {
    const project = broken((prebuilds) => renameSync(prebuilds, prebuilds.replace(platform, 'linux-riscv64')))
    const { code, message, advice } = failure(project)
    expect(code).toBe('library')
    expect(message).toContain(path.join('prebuilds', platform))
    expect(advice).toEqual([expect.stringMatching(/node_modules came from another platform.*Reinstall here/)])
  })

  it('refuses an addon of another architecture', () => {
    const project = broken((prebuilds) =>
      replace(path.join(prebuilds, addonName), (bytes) => {
        bytes.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18)
        return bytes
      }),
    )
    const { message, advice } = failure(project)
    expect(message).toContain(
      `is for ${process.arch === 'x64' ? 'arm64' : 'x64'}, and this Node.js is for ${process.arch}`,
    )
    expect(advice).toEqual([expect.stringMatching(/built for another machine. Reinstall/)])
  })

  it('tells that musl is not supported', () => {
    const musl = [
      '--import',
      `data:text/javascript,${encodeURIComponent('process.report.getReport = () => ({ header: {} })')}`,
    ]
    const { message, advice } = failure(packed.project, { env: { LIBC: 'musl' }, options: musl })
    expect(message).toMatch(/linux x64 musl/)
    expect(advice[0]).toMatch(/musl \(Alpine\)\. Use a Debian image/)
  })

  it('names the required and the installed glibc', () => {
    const project = broken((prebuilds) =>
      replace(path.join(prebuilds, addonName), (bytes) => requireGlibc(bytes, '2.99')),
    )
    expect(failure(project).advice).toEqual([
      expect.stringMatching(/needs GLIBC_2\.99 and this system \(glibc 2\.\d+\) is older/),
    ])
  })

  it('names the required Node.js', ({ skip }) => {
    if (packed.toolsProblem) skip(packed.toolsProblem)
    const node = path.join(packed.tools, 'node-18', 'bin', 'node')
    const project = broken((prebuilds) => rmSync(path.join(prebuilds, addonName)))
    const { status, stdout, stderr } = run(node, ['failing.mjs'], { cwd: project })
    expect(`${status} ${stdout} ${stderr}`).toMatch(
      /18\.20\.8 is not supported; \^20\.19\.0 \|\| >=22\.12\.0 is/,
    )
  })
})

describe('a damaged package', () => {
  it.each(libraries.filter((file) => file.includes('-cosmos.so')))('tells that %s is missing', (library) => {
    const project = broken((prebuilds) => rmSync(path.join(prebuilds, library)))
    expect(failure(project).advice).toEqual([
      expect.stringMatching(/incomplete: its lib.*-cosmos\.so\.\d+ is missing\. Reinstall/),
    ])
  })

  it.each([
    ['the addon', (prebuilds: string) => rmSync(path.join(prebuilds, addonName))],
    ['the whole folder', (prebuilds: string) => rmSync(path.dirname(prebuilds), { recursive: true })],
  ])('tells that %s is missing', (_what, remove) => {
    const { message, advice } = failure(broken(remove))
    expect(message).toContain(path.join('prebuilds', platform))
    expect(advice).toEqual([expect.stringMatching(/holds no addon for this machine.*Reinstall/)])
  })

  it('tells where it looked for ONNX Runtime', () => {
    const project = broken((prebuilds) => rmSync(path.join(prebuilds, 'libonnxruntime.so.1')))
    const { code, message } = failure(project)
    expect(code).toBe('library')
    expect(message).toMatch(
      /ONNX Runtime \(libonnxruntime\.so\.1\) was not found.*npm install onnxruntime-node/s,
    )
  })

  it.each(libraries)('refuses %s when it is truncated', (library) => {
    const project = broken((prebuilds) =>
      replace(path.join(prebuilds, library), (bytes) => bytes.subarray(0, bytes.length / 2)),
    )
    const { message, advice } = failure(project)
    expect(message).toMatch(new RegExp(`${library} is cut short: \\d+ bytes of \\d+`))
    expect(advice).toEqual([expect.stringMatching(/damaged .*Reinstall the package here/)])
  })

  it.each([
    ['empty', () => ''],
    ['an HTML page of a proxy', () => `<html>${'x'.repeat(100)}</html>`],
  ])('refuses an addon that is %s', (_what, content) => {
    const project = broken((prebuilds) => replace(path.join(prebuilds, addonName), content))
    expect(failure(project).advice).toEqual([expect.stringMatching(/damaged .*Reinstall/)])
  })

  it('refuses JavaScript and addon of different versions', () => {
    const project = broken((_prebuilds, folder) =>
      replace(path.join(folder, 'package.json'), (bytes) =>
        JSON.stringify({ ...JSON.parse(String(bytes)), version: '99.0.0' }),
      ),
    )
    const { message, advice } = failure(project)
    expect(message).toMatch(/built for cosmos-embed .*, but this is 99\.0\.0/)
    expect(advice).toEqual([expect.stringMatching(/different versions. Reinstall/)])
  })
})
