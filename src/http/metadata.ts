/** Response bodies of the routes that describe the server and its model. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { VERSION } from '../base/version.ts'
import type { EmbedderInfo, EngineFacts } from '../types.ts'
import { HttpError } from './errors.ts'
import type { Health, License, Manifest, Metadata, Model, ModelList, Version } from './schemas.ts'
import type { Service } from './service.ts'

/** The version of the NIM's API that the routes implement. */
const API_VERSION = '1.1.0'

/** Status 503 with the reason while the model cannot be used. */
export function ready({ model }: Service): { status: number; body: Health } {
  const { notReadyReason: reason } = model
  const isReady = reason === undefined
  const info = isReady ? model.info.model : undefined
  return {
    status: isReady ? 200 : 503,
    body: {
      object: 'health.response',
      message: isReady ? 'NIM Service is ready' : `NIM Service is not ready: ${reason}`,
      status: isReady ? 'ready' : 'not_ready',
      ready: isReady,
      ...(info && { model: info.servedNames[0], embedding_dim: info.embeddingDim }),
    },
  }
}

export function live(): Health {
  return { object: 'health.response', message: 'NIM Service is live', status: 'live', live: true }
}

export function models({ model, startedAt }: Service): ModelList {
  const created = Math.floor(startedAt.getTime() / 1000)
  const data = model.info.model.servedNames.map((id): Model => {
    return { id, object: 'model', created, owned_by: ownerOf(id) }
  })
  return { object: 'list', data }
}

/** The entry of {@link models} with this name. Throws HttpError. */
export function model(service: Service, name: string): Model {
  const found = models(service).data.find(({ id }) => id === name)
  if (found) return found
  throw new HttpError('not_found', `there is no model "${name.slice(0, 100)}" here: see /v1/models`)
}

/** The part before the slash, as on model hubs. */
function ownerOf(name: string): string {
  const slash = name.indexOf('/')
  return slash > 0 ? name.slice(0, slash) : 'cosmos-embed'
}

export async function metadata({ model, options }: Service): Promise<Metadata> {
  const info = model.info
  const { path: _, license: __, ...described } = info.model
  return {
    version: info.version,
    assetInfo: [],
    licenseInfo: await licenseOf(info),
    modelInfo: info.model.servedNames.map((shortName) => ({
      shortName,
      modelUrl: info.model.license.url ?? '',
    })),
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

/** Omits file paths, which clients must not learn. */
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

/** `model.json` of the bundle, with the served names added in front. */
export async function manifest({ model }: Service): Promise<Manifest> {
  const { path: folder, servedNames } = model.info.model
  const bundle: object = JSON.parse(await readFile(path.join(folder, 'model.json'), 'utf8'))
  return { manifest_file: JSON.stringify({ servedNames, ...bundle }, null, 2), repository_override: '' }
}

export function license({ model }: Service): Promise<License> {
  return licenseOf(model.info)
}

export function version(): Version {
  return { release: VERSION, api: API_VERSION }
}

async function licenseOf({ model }: EmbedderInfo): Promise<License> {
  const { name, url = '', path: file } = model.license
  // A bundle under this package's own licence may omit the text.
  const packaged =
    name === 'Apache-2.0' ? fileURLToPath(new URL('../../LICENSE', import.meta.url)) : undefined
  const source = file === undefined ? packaged : path.resolve(model.path, file)
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
  const inFlight = { maxItemsInFlight, maxBytesInFlight, ...batches }
  return { request: { ...request }, input: { ...each }, decode: { ...decode }, inFlight }
}
