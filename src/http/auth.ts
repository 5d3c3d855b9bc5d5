/** Bearer keys. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { HttpError } from './errors.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Returns the check of an `Authorization` header; it throws HttpError and takes as long for every wrong key. */
export function bearerCheck(keys: readonly string[]): (header: string | undefined) => void {
  const expected = keys.map(digest)
  return (header) => {
    const [, token] = /^bearer +(\S+)$/i.exec(header ?? '') ?? []
    const given = digest(token ?? '')
    const matches = expected.map((key) => timingSafeEqual(key, given))
    if (token !== undefined && matches.includes(true)) return
    throw new HttpError('unauthorized', 'this server wants a key: send authorization: Bearer KEY', {
      'www-authenticate': 'Bearer',
    })
  }
}
