/** What `cosmos-embed` is to a bundle for browsers and edge functions, which no addon can be part of. */
import { LibraryError } from '../errors.ts'

export * from '../errors.ts'
export { rank, similarity } from '../base/similarity.ts'

/** Rejects with LibraryError. */
export async function createEmbedder(): Promise<never> {
  throw new LibraryError(
    'cosmos-embed runs its model in a native addon, which browsers and edge functions cannot load. Run ' +
      '`npx cosmos-embed serve` on a Linux machine, and call it from here with createClient of "cosmos-embed/client"',
  )
}

/** The same. */
export const embed: typeof createEmbedder = createEmbedder
