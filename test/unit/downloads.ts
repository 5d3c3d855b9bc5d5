/** Shared by the tests of downloads: local servers and a fake resolver. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Server as TcpServer } from 'node:net'
import { expect } from 'vitest'
import type { CosmosEmbedError } from '../../src/errors.ts'
import type { Resolve } from '../../src/source/address.ts'
import type { LimitsInput } from '../../src/source/limits.ts'
import { createSources } from '../../src/source/sources.ts'
import type { UrlPolicy } from '../../src/source/url-policy.ts'

export const secret = 'X-Amz-Signature=SECRET'

export interface Options {
  urls?: UrlPolicy
  limits?: LimitsInput
  resolve?: Resolve
}

/** Downloads a URL through `Sources.video`. */
export async function fetchBytes(
  url: string,
  options: Options = {},
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const { media } = await createSources(options).video({ type: 'url', url }, { signal })
  if (!('bytes' in media)) throw new Error('a download must give bytes')
  return media.bytes
}

/** Resolves to the error, after checking that its message contains neither path, query nor resolved address. */
const leaks = /SECRET|secret-path|127\.0\.0\.\d|10\.0\.0/

export async function refusal(promise: Promise<unknown>, leak = leaks): Promise<CosmosEmbedError> {
  const error = await promise.then(
    () => new Error('was not refused'),
    (reason) => reason,
  )
  expect(error.message).not.toMatch(leak)
  return error
}

const closers: (() => Promise<unknown>)[] = []
/** Stops every server of the test. */
export async function closeServers(): Promise<void> {
  await Promise.all(closers.splice(0).map((close) => close()))
}

export async function listen(server: Server | TcpServer): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(async () => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** An origin whose host name only the test's resolver knows. The test's policy allows it. */
export async function serve(handler: RequestListener): Promise<{ origin: string; port: number }> {
  const port = await listen(createServer(handler))
  return { origin: `http://media.test:${port}`, port }
}

export const toLoopback: Resolve = async () => [{ address: '127.0.0.1', family: 4 }]
export const trusting = (origin: string, rest: Options = {}): Options => ({
  resolve: toLoopback,
  ...rest,
  urls: { private: [origin], ...(typeof rest.urls === 'object' ? rest.urls : {}) },
})

/** Writes until the client closes the connection. */
export async function endless(response: ServerResponse): Promise<void> {
  while (!response.destroyed) {
    response.write('x'.repeat(100))
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
