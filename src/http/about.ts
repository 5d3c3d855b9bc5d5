/** Bodies of the routes that say what is served. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EmbedderInfo, EngineFacts } from '../types.ts'
import { VERSION } from '../version.ts'
import type { Health, License, Manifest, Metadata, ModelList, Version } from './schemas.ts'
import type { Service } from './service.ts'

/** Version of the documented interface that the routes follow. */
const API_VERSION = '1.1.0'

/** 503 with the reason while there is no model that could answer. */
export function ready({ model }: Service): { status: number; body: Health } {
  const { reason } = model
  const isReady = reason === undefined
  return {
    status: isReady ? 200 : 503,
    body: {
      object: 'health.response',
      message: isReady ? 'NIM Service is ready' : `NIM Service is not ready: ${reason}`,
      status: isReady ? 'ready' : 'not_ready',
      ready: isReady,
    },
  }
}

export function live(): Health {
  return { object: 'health.response', message: 'NIM Service is live', status: 'live', live: true }
}

export function models({ model, startedAt }: Service): ModelList {
  const created = Math.floor(startedAt.getTime() / 1000)
  return {
    object: 'list',
    data: model.info.model.servedNames.map((id) => ({
      id,
      object: 'model',
      created,
      owned_by: 'cosmos-embed',
    })),
  }
}

export async function metadata({ model, options }: Service): Promise<Metadata> {
  const info = model.info
  const { path: _, license: __, ...described } = info.model
  return {
    version: info.version,
    assetInfo: [],
    licenseInfo: await licenseOf(info),
    modelInfo: [{ shortName: info.model.id, modelUrl: info.model.license.url ?? '' }],
    repository_override: '',
    selectedModelProfileId: `${info.model.variant}-${info.device.kind}-${info.engine.backend}`,
    model: described,
    runtime: {
      device: deviceOf(info.device),
      engine: { backend: info.engine.backend, version: info.engine.version },
      addon: info.addon,
    },
    limits: limitsOf(info, options.limits),
    urls: typeof info.urls === 'string' ? info.urls : 'rules',
  }
}

/** Without the paths of this machine, which are no client's business. */
function deviceOf(device: EmbedderInfo['device']): object {
  const reason = device.reason.replace(/(^|[\s'"(])\/(?:[^\s'":;,()]*\/)?/g, '$1…/')
  if (device.kind === 'cpu') return { ...device, reason }
  const { driver, gpus } = device
  return {
    kind: device.kind,
    reason,
    driver: { version: driver.version },
    gpus: gpus.map(({ engines, ...gpu }) => ({
      ...gpu,
      engines: { video: withoutPath(engines.video), text: withoutPath(engines.text) },
    })),
  }
}

function withoutPath({ path: _, ...engine }: EngineFacts): Omit<EngineFacts, 'path'> {
  return engine
}

/** `model.json`, which is what the manifest of a bundle is. */
export async function manifest({ model }: Service): Promise<Manifest> {
  const file = path.join(model.info.model.path, 'model.json')
  return { manifest_file: await readFile(file, 'utf8'), repository_override: '' }
}

export function license({ model }: Service): Promise<License> {
  return licenseOf(model.info)
}

export function version(): Version {
  return { release: VERSION, api: API_VERSION }
}

async function licenseOf({ model }: EmbedderInfo): Promise<License> {
  const { name, url = '', path: file } = model.license
  // A bundle under this package's own licence need not repeat it.
  const own = name === 'Apache-2.0' ? fileURLToPath(new URL('../../LICENSE', import.meta.url)) : undefined
  const source = file === undefined ? own : path.resolve(model.path, file)
  const content = source === undefined ? '' : await readFile(source, 'utf8')
  return {
    name,
    path: source === undefined ? '' : path.basename(source),
    sha: createHash('sha1').update(content).digest('hex'),
    size: content.length,
    url,
    type: 'file',
    content,
  }
}

function limitsOf({ limits }: EmbedderInfo, request: Service['options']['limits']): Metadata['limits'] {
  const { input, decode, ...batches } = limits
  const { maxItemsInFlight, maxBytesInFlight, ...each } = input
  const inFlight = { items: maxItemsInFlight, bytes: maxBytesInFlight, ...batches }
  return { request: { ...request }, input: { ...each }, decode: { ...decode }, inFlight }
}
