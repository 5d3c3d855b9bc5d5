/** A lock that only one process of the machine can hold. */
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * Acquires the lock for `purpose` and `path`, which must be free of symbolic links. Resolves to a function that releases it,
 * or to undefined while another process holds it.
 *
 * The lock is an abstract Unix socket, which the kernel removes when the process ends, so a killed process leaves no stale
 * lock. Processes in different network namespaces do not see each other's locks.
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
    const release = () => new Promise<void>((done) => server.close(() => done()))
    // Exclusive, because workers of node:cluster would otherwise share the socket and all hold the lock.
    server.listen({ path: `\0cosmos-embed-${purpose}-${hash}`, exclusive: true }, () => resolve(release))
  })
}
