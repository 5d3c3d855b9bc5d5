/**
 * `Expect: 100-continue`. Node answers `100 Continue` to every such request at once; here the routes send it only when they
 * want the body, so that a client whose headers are already refused never sends one.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'

const pending = new WeakMap<IncomingMessage, ServerResponse>()

/** Leaves `100 Continue` to {@link sendContinue} on this server. */
export function deferContinue(server: Server): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    pending.set(request, response)
    server.emit('request', request, response)
  })
}

/** Asks for the body, if the client waits to be asked. */
export function sendContinue(request: IncomingMessage): void {
  pending.get(request)?.writeContinue()
  pending.delete(request)
}
