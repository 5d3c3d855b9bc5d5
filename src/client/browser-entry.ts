/** The `browser` entry of `cosmos-embed`: for bundles that cannot contain the native addon. */
import { LibraryError } from '../errors.ts'

export { rank, similarity } from '../base/similarity.ts'
export * from '../errors.ts'

/** Always rejects with LibraryError, which points to `cosmos-embed/client`. */
export async function createEmbedder(): Promise<never> {
  throw new LibraryError(
    'cosmos-embed runs its model in a native addon, which browsers and edge functions cannot load. Run ' +
      '`npx cosmos-embed serve` on a Linux machine, and call it from here with createClient of "cosmos-embed/client"',
  )
}

/** Always rejects with LibraryError, as {@link createEmbedder} does here. */
export const embed: typeof createEmbedder = createEmbedder
