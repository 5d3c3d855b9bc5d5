/** Bearer keys. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { HttpError } from './errors.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()

/**
 * Returns the check of an `Authorization` header, which throws HttpError. Every key is compared in constant time, so that
 * the duration reveals nothing about the keys.
 */
export function bearerCheck(keys: readonly string[]): (header: string | undefined) => void {
  const expected = keys.map(digest)
  return (header) => {
    const [, token] = /^bearer +(\S+)$/i.exec(header ?? '') ?? []
    const actual = digest(token ?? '')
    const matches = expected.map((key) => timingSafeEqual(key, actual))
    if (token !== undefined && matches.includes(true)) return
    throw new HttpError('unauthorized', 'this server requires a key: send authorization: Bearer KEY', {
      'www-authenticate': 'Bearer',
    })
  }
}
