/** `npm run demo` after its set-up: the first thing that a newcomer runs. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { expect, it, onTestFinished } from 'vitest'

const demo = fileURLToPath(new URL('../../scripts/demo.mjs', import.meta.url))

it('ranks the clips by what they show, first computed and then from the cache, and writes the page', () => {
  const home = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-demo-'))
  onTestFinished(() => rmSync(home, { recursive: true }))
  for (const cached of [0, 12]) {
    const page = path.join(home, `${cached}`)
    const { status, stdout, stderr } = spawnSync(process.execPath, [demo, page], {
      encoding: 'utf8',
      env: { ...process.env, XDG_CACHE_HOME: home },
    })
    expect(status, stderr).toBe(0)
    expect(stdout).toContain(`(${cached} taken from the cache)`)
    // The first line below each text.
    const best = [...stdout.matchAll(/^"(.*)"\n +[\d.]+ {2}(.*)$/gm)].map(([, text, file]) => [text, file])
    expect(best).toEqual([
      ['a red circle going to the left', 'red-circle.mp4'],
      ['something pink gets bigger', 'pink-heart.mp4'],
      ['a blue square going up', 'red-circle-blue-square.mp4'],
      ['a star falling down', 'yellow-star.webm'],
      ['a red square and a blue circle', 'blue-circle-red-square.webm'],
      ['a red circle and a blue square', 'red-circle-blue-square.mp4'],
    ])
    const html = readFileSync(path.join(page, 'index.html'), 'utf8')
    expect(html.match(/ class="best"/g)).toHaveLength(6)
    expect(html.match(/<img /g)).toHaveLength(12)
  }
})
