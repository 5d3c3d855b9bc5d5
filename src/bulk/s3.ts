/** Buckets, by way of the AWS SDK and with its settings: credentials, region and endpoint are found as it finds them. */
import path from 'node:path'
import process from 'node:process'
import type { S3Client } from '@aws-sdk/client-s3'
import { DownloadError, SourceError } from '../errors.ts'
import { videoExtensions } from '../base/media-names.ts'
import { importPeer } from './files.ts'

/** A URL is made anew for each try, and used at once; a slow download may take a while to begin. */
const SIGNED_FOR_SECONDS = 3600

export interface ObjectPlace {
  bucket: string
  /** Or its beginning. */
  key: string
}

interface Peers {
  client: S3Client
  sdk: typeof import('@aws-sdk/client-s3')
  presigner: typeof import('@aws-sdk/s3-request-presigner')
}

/** Undefined for what is no `s3://bucket/…`. A key is taken as it is written: nothing in it is an escape. */
export function objectPlace(word: string): ObjectPlace | undefined {
  const [, bucket, key] = /^s3:\/\/([^/]+)(?:\/(.*))?$/is.exec(word) ?? []
  return bucket === undefined ? undefined : { bucket, key: key ?? '' }
}

let opened: Promise<Peers> | undefined

/** Rejects with InvalidArgumentError where a package is missing. */
export function openS3(): Promise<Peers> {
  opened ??= loadPeers()
  return opened
}

async function loadPeers(): Promise<Peers> {
  const sdk = await importPeer('@aws-sdk/client-s3', 's3://', () => import('@aws-sdk/client-s3'))
  const presigner = await importPeer(
    '@aws-sdk/s3-request-presigner',
    's3://',
    () => import('@aws-sdk/s3-request-presigner'),
  )
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION } = process.env
  // Storage of one's own has no name for each bucket, and mostly no region.
  const isOwn = (AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL) !== undefined
  const client = new sdk.S3Client(isOwn ? { forcePathStyle: true, region: AWS_REGION ?? 'us-east-1' } : {})
  return { client, sdk, presigner }
}

/** Keys of the objects that are named like videos, in the bucket's order. Rejects with SourceError. */
export async function* listVideos({ bucket, key }: ObjectPlace): AsyncGenerator<string, void, undefined> {
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

/** A URL under which the object can be fetched for an hour. Rejects with DownloadError. */
export async function signedUrl({ bucket, key }: ObjectPlace): Promise<URL> {
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
