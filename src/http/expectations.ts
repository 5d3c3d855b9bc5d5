/**
 * `Expect: 100-continue`: a client that asks before it sends its body gets the refusal that the headers already deserve
 * instead of an invitation. Node would invite every one of them.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

const held = new WeakMap<IncomingMessage, ServerResponse>()

/** From now on clients of this server are answered by {@link invite}, or by what the routes answer. */
export function holdExpectations(server: Server): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    held.set(request, response)
    server.emit('request', request, response)
  })
}

/** The body is wanted now. */
export function invite(request: IncomingMessage): void {
  held.get(request)?.writeContinue()
  held.delete(request)
}
