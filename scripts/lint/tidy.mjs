// clang-tidy over the sources that build/compile_commands.json compiles.

import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/**
 * clang-tidy spends most of its time on the headers of the standard library, so the files of one folder are checked
 * as one file that includes them. Where their names collide, that fails, and each file is checked by itself.
 *
 * @returns {Promise<{ count: number, failed: number }>} of files; what is wrong with them goes to stderr
 */
export async function checkTidy(root, sources) {
  const folder = path.join(root, '.cache', 'tidy')
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const waiting = batches(root, sources)
  const count = waiting.reduce((sum, { files }) => sum + files.length, 0)
  let failed = 0
  let started = 0
  const work = async () => {
    for (let batch = waiting.shift(); batch; batch = waiting.shift()) {
      const output = await tidy(root, batch, path.join(folder, `${started++}`))
      if (output === '') continue
      if (batch.files.length > 1) waiting.push(...batch.files.map((file) => ({ ...batch, files: [file] })))
      else {
        failed += 1
        process.stderr.write(output)
      }
    }
  }
  await Promise.all([work(), work()])
  return { count, failed }
}

/** @returns {Promise<string>} what is wrong, or "" */
function tidy(root, { compiler, directory, files }, folder) {
  const file = path.join(folder, 'all.cc')
  mkdirSync(folder)
  writeFileSync(file, files.map((each) => `#include "${each}"\n`).join(''))
  const database = [{ directory, file, command: `${compiler} -c ${file}` }]
  writeFileSync(path.join(folder, 'compile_commands.json'), JSON.stringify(database))
  const child = spawn(
    'clang-tidy',
    [
      ...['-p', folder, '--quiet', '--warnings-as-errors=*', '--checks=-bugprone-suspicious-include'],
      ...['--extra-arg=-Wno-unknown-warning-option', file], // the database holds flags of GCC
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] },
  )
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code) => resolve(code === 0 ? '' : output || `clang-tidy ended with ${code}\n`))
  })
}

// At most eight files of one folder, compiled with the same flags. Neighbours in the alphabet go to different batches,
// because they often define the same names. The largest batches start first, so that both workers end together.
function batches(root, sources) {
  const most = 8
  const groups = new Map()
  const database = JSON.parse(readFileSync(path.join(root, 'build', 'compile_commands.json'), 'utf8'))
  for (const { directory, command, file } of database) {
    if (!sources.includes(path.relative(root, file))) continue
    const compiler = command
      .slice(0, command.indexOf(' -o '))
      .replace(/^\S*\/ccache /, '')
      .replace(/ -Winvalid-pch -include \S+/, '') // GCC's precompiled headers, which Clang cannot read
    const key = `${path.dirname(file)} ${compiler}`
    if (!groups.has(key)) groups.set(key, { compiler, directory, files: [] })
    groups.get(key).files.push(file)
  }
  const parted = [...groups.values()].flatMap(({ files, ...flags }) => {
    const parts = Math.ceil(files.length / most)
    return Array.from({ length: parts }, (_, part) => ({
      ...flags,
      files: files.filter((_, index) => index % parts === part),
    }))
  })
  return parted.sort((a, b) => b.files.length - a.files.length)
}
