/** Limits the sockets of a server, and decides which one to close when there are too many. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Sockets beyond the limit. They keep health checks answered when all other sockets are busy. */
const reserve = 16

/**
 * Keeps at most `limit` sockets. One more closes the socket that has been idle the longest, so that silent sockets cannot
 * lock out other clients. When none is idle, the new socket is one of a few in reserve, on which only health is answered.
 */
export class Connections {
  readonly #limit: number
  readonly #open = new Set<Socket>()
  /** Sockets without a running request, in the order in which they became idle. */
  readonly #idle = new Set<Socket>()
  /** The number of running requests of each other socket. */
  readonly #busy = new Map<Socket, number>()
  readonly #reserved = new WeakSet<Socket>()

  constructor(server: Server, limit: number) {
    this.#limit = limit
    server.maxConnections = limit + reserve
    server.on('connection', (socket: Socket) => this.#add(socket))
    // Prepended: a socket must count as busy before a route handles its request.
    server.prependListener('request', (request, response) => this.#startRequest(request, response))
  }

  /** Whether the socket is one of those in reserve. */
  isReserved(socket: Socket): boolean {
    return this.#reserved.has(socket)
  }

  #add(socket: Socket): void {
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#idle.delete(socket)
      this.#busy.delete(socket)
    })
    for (const longestIdle of this.#idle) {
      if (this.#open.size <= this.#limit) break
      this.#close(longestIdle)
    }
    if (this.#open.size > this.#limit) this.#reserved.add(socket)
    this.#idle.add(socket)
  }

  /** Removes the socket from the count at once: its `close` event comes later. */
  #close(socket: Socket): void {
    this.#open.delete(socket)
    this.#idle.delete(socket)
    socket.destroy()
  }

  #startRequest({ socket }: IncomingMessage, response: ServerResponse): void {
    this.#idle.delete(socket)
    this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1)
    response.once('close', () => {
      const left = (this.#busy.get(socket) ?? 1) - 1
      if (left > 0) this.#busy.set(socket, left)
      else this.#busy.delete(socket)
      if (left === 0 && this.#open.has(socket)) this.#idle.add(socket)
    })
  }
}
