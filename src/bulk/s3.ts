/** Reads S3 buckets with the AWS SDK, which finds credentials, region and endpoint in its usual places. */
import path from 'node:path'
import process from 'node:process'
import type { S3Client } from '@aws-sdk/client-s3'
import { videoExtensions } from '../base/media-names.ts'
import { DownloadError, SourceError } from '../errors.ts'
import { importPeer } from './files.ts'

/** Each attempt gets a new URL and uses it at once, but a download may have to wait before it starts. */
const SIGNED_FOR_SECONDS = 3600

export interface S3Location {
  bucket: string
  /** Key of an object, or a prefix of keys. */
  key: string
}

interface S3Modules {
  client: S3Client
  sdk: typeof import('@aws-sdk/client-s3')
  presigner: typeof import('@aws-sdk/s3-request-presigner')
}

/** Parses `s3://bucket/key`; undefined for anything else. Keys are taken literally, without unescaping. */
export function parseS3Location(text: string): S3Location | undefined {
  const [, bucket, key] = /^s3:\/\/([^/]+)(?:\/(.*))?$/is.exec(text) ?? []
  return bucket === undefined ? undefined : { bucket, key: key ?? '' }
}

let opened: Promise<S3Modules> | undefined

/** Loads the AWS SDK once. Rejects with InvalidArgumentError if a package of it is missing. */
export function openS3(): Promise<S3Modules> {
  opened ??= loadS3Modules()
  return opened
}

async function loadS3Modules(): Promise<S3Modules> {
  const sdk = await importPeer('@aws-sdk/client-s3', 's3://', () => import('@aws-sdk/client-s3'))
  const presigner = await importPeer(
    '@aws-sdk/s3-request-presigner',
    's3://',
    () => import('@aws-sdk/s3-request-presigner'),
  )
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION } = process.env
  // S3-compatible servers usually have no host name per bucket and no region.
  const isCustom = (AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL) !== undefined
  const client = new sdk.S3Client(isCustom ? { forcePathStyle: true, region: AWS_REGION ?? 'us-east-1' } : {})
  return { client, sdk, presigner }
}

/** Yields the keys with a file extension of videos, in the bucket's order. Rejects with SourceError. */
export async function* listVideos({ bucket, key }: S3Location): AsyncGenerator<string, void, undefined> {
  const { client, sdk } = await openS3()
  const pages = sdk.paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: key })
  try {
    for await (const { Contents = [] } of pages) {
      for (const { Key = '' } of Contents) {
        if (videoExtensions.has(path.posix.extname(Key).slice(1).toLowerCase())) yield Key
      }
    }
  } catch (cause) {
    throw new SourceError(`s3://${bucket}/${key} cannot be listed: ${describeFailure(cause)}`, { cause })
  }
}

/** A signed URL of the object that is valid for an hour. Rejects with DownloadError. */
export async function signedUrl({ bucket, key }: S3Location): Promise<URL> {
  const { client, sdk, presigner } = await openS3()
  const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: key })
  try {
    return new URL(await presigner.getSignedUrl(client, command, { expiresIn: SIGNED_FOR_SECONDS }))
  } catch (cause) {
    throw new DownloadError(`s3://${bucket}/${key} cannot be signed: ${describeFailure(cause)}`, { cause })
  }
}

function describeFailure(failure: unknown): string {
  const { name, message } = failure as Error
  return message && message !== name ? `${name}: ${message}` : name
}
