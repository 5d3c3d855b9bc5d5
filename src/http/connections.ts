/** Sockets of a server: how many, and who makes room when there are too many. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Sockets beyond the limit, for the one question that must be answered when all others are busy: whether all is well. */
const reserve = 16

/**
 * At most `limit` sockets. One more ends the one that has rested for the longest, so that sockets on which nothing happens
 * lock nobody out; when none rests, it is one of a few in reserve, on which health is answered and nothing else.
 */
export class Connections {
  readonly #limit: number
  readonly #open = new Set<Socket>()
  /** Without a request at the moment; who has rested longest comes first. */
  readonly #resting = new Set<Socket>()
  /** How many requests are under way on the others. */
  readonly #working = new Map<Socket, number>()
  readonly #reserved = new WeakSet<Socket>()

  constructor(server: Server, limit: number) {
    this.#limit = limit
    server.maxConnections = limit + reserve
    server.on('connection', (socket: Socket) => this.#add(socket))
    // Before the routes see it.
    server.prependListener('request', (request, response) => this.#work(request, response))
  }

  /** Whether the request came over a socket that is in reserve. */
  isReserved(socket: Socket): boolean {
    return this.#reserved.has(socket)
  }

  #add(socket: Socket): void {
    this.#open.add(socket)
    socket.once('close', () => {
      this.#open.delete(socket)
      this.#resting.delete(socket)
      this.#working.delete(socket)
    })
    for (const longest of this.#resting) {
      if (this.#open.size <= this.#limit) break
      this.#end(longest)
    }
    if (this.#open.size > this.#limit) this.#reserved.add(socket)
    this.#resting.add(socket)
  }

  /** Counted as gone from now on: closing takes the socket a moment. */
  #end(socket: Socket): void {
    this.#open.delete(socket)
    this.#resting.delete(socket)
    socket.destroy()
  }

  #work({ socket }: IncomingMessage, response: ServerResponse): void {
    this.#resting.delete(socket)
    this.#working.set(socket, (this.#working.get(socket) ?? 0) + 1)
    response.once('close', () => {
      const left = (this.#working.get(socket) ?? 1) - 1
      if (left > 0) this.#working.set(socket, left)
      else this.#working.delete(socket)
      if (left === 0 && this.#open.has(socket)) this.#resting.add(socket)
    })
  }
}
