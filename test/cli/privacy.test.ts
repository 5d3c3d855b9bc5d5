/**
 * Commands and the server connect to nothing and leave no files, except as documented. Each runs with an empty home folder
 * under a tracer that records every opened file and every network address.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const cli = fileURLToPath(new URL('../../dist/cli/bin.js', import.meta.url))
const examples = fileURLToPath(new URL('../../examples/clips', import.meta.url))
const demo = fileURLToPath(new URL('../../models/demo', import.meta.url))
const clip = path.join(examples, 'red-circle.mp4')
const folder = mkdtempSync(path.join(tmpdir(), 'cosmos-embed-quiet-'))

/** The system calls that send or store data. With seccomp, the others run untraced at full speed. */
const tracer = [
  'strace',
  '-f',
  '-qq',
  '--seccomp-bpf',
  '-e',
  'trace=connect,sendto,openat,mkdir',
  '-s',
  '256',
]
const hasTracer = spawnSync(tracer[0] as string, [...tracer.slice(1), '-o', '/dev/null', 'true']).status === 0
const hasNamespace = spawnSync('unshare', ['-rn', 'true']).status === 0
if (!hasTracer) console.warn('part of the tests of privacy is skipped: strace is missing or may not trace')

afterAll(() => rmSync(folder, { recursive: true }))

interface Run {
  home: string
  calls: string[]
}

let runs = 0

/** Starts the command without this user's environment. */
function start(args: readonly string[], wrapper: readonly string[]): { child: ChildProcess; home: string } {
  const home = path.join(folder, `home-${runs++}`)
  for (const name of ['cache', 'config', 'data', 'state', 'tmp'])
    mkdirSync(path.join(home, name), { recursive: true })
  const env: NodeJS.ProcessEnv = {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CACHE_HOME: path.join(home, 'cache'),
    XDG_CONFIG_HOME: path.join(home, 'config'),
    XDG_DATA_HOME: path.join(home, 'data'),
    XDG_STATE_HOME: path.join(home, 'state'),
    TMPDIR: path.join(home, 'tmp'),
    // Keeps the library paths that the test run was given.
    COSMOS_EMBED_ADDON: process.env.COSMOS_EMBED_ADDON,
    COSMOS_EMBED_ONNXRUNTIME: process.env.COSMOS_EMBED_ONNXRUNTIME,
  }
  const [program = '', ...rest] = [...wrapper, process.execPath, cli, ...args]
  return { child: spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] }), home }
}

function ended(child: ChildProcess): Promise<void> {
  child.stdout?.resume()
  child.stderr?.resume()
  return new Promise((resolve) => child.once('close', () => resolve()))
}

async function traced(
  args: readonly string[],
  while_: (child: ChildProcess) => Promise<void> = async () => {},
) {
  const log = path.join(folder, `calls-${runs}`)
  const { child, home } = start(args, [...tracer, '-o', log])
  const end = ended(child)
  await while_(child)
  await end
  return { home, calls: readFileSync(log, 'utf8').split('\n') }
}

/** The only addresses allowed: loopback, and no name resolution. */
function expectQuiet({ home, calls }: Run) {
  expect(calls.length, 'the tracer saw something').toBeGreaterThan(10)
  const outward = calls.filter(
    (call) =>
      /(connect|sendto)\(.*AF_INET/.test(call) &&
      !/inet_addr\("127\.0\.0\.1"\)|inet_pton\(AF_INET6, "::1"/.test(call),
  )
  expect(outward, 'no address but this machine').toEqual([])
  // Node reads resolv.conf and nsswitch.conf when its module of names is loaded; whoever asks for one reads the hosts.
  const lookedUp = calls.filter((call) => /"\/etc\/hosts"|connect\(.*sa_family=AF_UNIX/.test(call))
  expect(lookedUp, 'no name was looked up').toEqual([])
  expect(
    calls.filter((call) => /onnxruntime.*\.(db|ses)|deviceid|DeveloperTools/i.test(call)),
    'no identifier, not even for a moment',
  ).toEqual([])
  expectOnlyOurs(home)
}

function expectOnlyOurs(home: string) {
  const files = readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(home, path.join(entry.parentPath, entry.name)))
  expect(files.filter((file) => !file.startsWith('cache/cosmos-embed/') && !file.startsWith('out/'))).toEqual(
    [],
  )
}

const commands = [
  ['embed', clip, 'a red circle', '--json'],
  ['search', examples, 'a red circle'],
  ['frames', clip, '--out', path.join(folder, 'frames')],
  ['doctor'],
  ['verify', '--model', demo],
  ['build-engine', '--model', demo],
  ['help'],
  ['help', 'serve'],
].map((args) => ({ name: args.join(' ').replace(/\S*\//g, ''), args }))

describe.skipIf(!hasTracer)('under a tracer', () => {
  it.each(commands)(
    '$name',
    async ({ args }) => {
      expectQuiet(await traced(args))
    },
    300_000,
  )

  it('serve, while it answers requests', async () => {
    const run = await traced(['serve', '--port', '0', '--log-level', 'silent'], async (child) => {
      // The pid of the server, a child of the tracer.
      const url = await listening(child)
      await requests(url)
      const served = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')
        .trim()
        .split(' ')[0]
      process.kill(Number(served), 'SIGTERM')
    })
    expectQuiet(run)
  }, 300_000)
})

describe.skipIf(!hasNamespace)('without a network, a command works and leaves no files', () => {
  it.each(commands.slice(0, 5))(
    '$name',
    async ({ args }) => {
      const { child, home } = start(args, ['unshare', '-rn'])
      await ended(child)
      expect(child.exitCode).toBe(0)
      expectOnlyOurs(home)
    },
    300_000,
  )
})

async function listening(child: ChildProcess): Promise<string> {
  let said = ''
  for await (const text of child.stderr ?? []) {
    said += String(text)
    const url = /listening on (http:\S+[^,\s])/.exec(said)?.[1]
    if (url && said.includes('cosmos-embed: ready')) return url
  }
  throw new Error(`the server ended: ${said}`)
}

/** Calls every route, including the page's, with every kind of input that needs no network. */
async function requests(url: string) {
  const model = 'cosmos-embed-demo'
  const inline = `data:video/mp4;base64,${readFileSync(clip).toString('base64')}`
  const post = (body: object) =>
    fetch(`${url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, ...body }),
    }).then((answer) => answer.arrayBuffer())
  for (let round = 0; round < 10; round++) {
    await Promise.all([
      post({ request_type: 'query', input: `text ${round}` }),
      post({ request_type: 'bulk_text', input: ['a', 'b', 'c'] }),
      post({ request_type: 'query', input: inline }),
      post({ request_type: 'query', input: 'data:video/mp4;base64,AAAA' }),
      post({ request_type: 'nonsense' }),
    ])
  }
  const routes = ['/', '/docs', '/openapi.json', '/v1/models', '/v1/metadata', '/v1/license', '/v1/metrics']
  for (const route of [...routes, '/health/metrics', '/v1/health/ready', '/nowhere']) await fetch(url + route)
  await fetch(`${url}/page/clip`, { method: 'POST', body: new Uint8Array(readFileSync(clip)) })
}
