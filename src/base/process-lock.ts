/** What only one process of this machine may do at a time. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * Takes a name that no other process of this machine has; gives the function that lets it go, or undefined while
 * another process has it. `path` must be without symbolic links.
 *
 * The name is one that the kernel keeps for as long as we live, so a killed process leaves none behind. Processes that
 * do not share a network namespace do not see it.
 */
export function acquireProcessLock(
  purpose: string,
  path: string,
): Promise<(() => Promise<void>) | undefined> {
  const hash = createHash('sha256').update(path).digest('hex').slice(0, 40)
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.unref()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    const letGo = () => new Promise<void>((done) => server.close(() => done()))
    // Exclusive: workers of node:cluster would share it, and all of them have it.
    server.listen({ path: `\0cosmos-embed-${purpose}-${hash}`, exclusive: true }, () => resolve(letGo))
  })
}
