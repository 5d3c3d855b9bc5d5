// What the server and the workers must agree on.

import process from 'node:process'
import { fileURLToPath } from 'node:url'

export const queueName = 'embeddings'
export const redis = { url: process.env.REDIS_URL ?? 'redis://localhost:6379' }

/** Where uploads wait for a worker. With workers on other machines: a shared file system, or a bucket. */
export const uploads = process.env.UPLOADS ?? fileURLToPath(new URL('uploads', import.meta.url))

/** BullMQ keeps nothing but the message of an error, so the code and the rest travel in it. */
export function packError({ code, status, message, retryable }) {
  return JSON.stringify({ code, status, message, retryable })
}

/** The error of a failed job. One that `packError` has not written is BullMQ's: the job's workers were killed too often. */
export function unpackError(reason) {
  try {
    return JSON.parse(reason)
  } catch {
    return { code: 'job_failed', status: 500, message: reason, retryable: false }
  }
}
