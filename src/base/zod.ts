/**
 * zod, loaded when a schema is first used. It takes longer to load than all of this package, and a valid input rarely needs
 * it: plain checks accept what is usual when an embedder is created, and the schemas describe what is wrong with all else.
 */
import { createRequire } from 'node:module'
import type { z } from 'zod'

export type Zod = typeof z

const require = createRequire(import.meta.url)
let loaded: Zod | undefined

/** Always through `require`, so that a process holds one copy. */
export function zod(): Zod {
  loaded ??= (require('zod') as { z: Zod }).z
  return loaded
}

/** A schema that is made when it is first asked for. */
export function lazySchema<Schema>(make: (z: Zod) => Schema): () => Schema {
  let schema: Schema | undefined
  return () => {
    schema ??= make(zod())
    return schema
  }
}
