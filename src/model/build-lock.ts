/** One build at a time in a folder. */
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const everyMs = 500

/**
 * Waits until no other process of this machine builds in `folder`, whose path must be without symbolic links. Resolves
 * to the function that lets the next one in. Rejects with `signal.reason`.
 *
 * The lock is a name that the kernel keeps for as long as we live, so a killed build leaves none behind. Processes that
 * do not share a network namespace do not see it: they build twice, and the later one's engine stays.
 */
export async function lockFolder(
  folder: string,
  { onWait, signal }: { onWait: () => void; signal: AbortSignal },
): Promise<() => Promise<void>> {
  const name = `\0cosmos-embed-build-${createHash('sha256').update(folder).digest('hex').slice(0, 40)}`
  for (let waits = 0; ; waits++) {
    signal.throwIfAborted()
    const server = await listen(name)
    if (server) return () => new Promise((resolve) => server.close(() => resolve()))
    if (waits === 0) onWait()
    // The caller's reason, not the timer's.
    await sleep(everyMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

/** Undefined while another process has the name. */
function listen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.unref()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    // Exclusive: workers of node:cluster would share it, and all of them have it.
    server.listen({ path: name, exclusive: true }, () => resolve(server))
  })
}
