/** `cosmos-embed/http`: the documented HTTP interface over an {@link Embedder}. Needs `fastify` installed. */
export type { ErrorBody } from './errors.ts'
export type { HttpLimits, HttpOptions } from './options.ts'
export { cosmosEmbed, cosmosEmbed as default } from './plugin.ts'
export { type CosmosEmbedServer, createServer, type ListenOptions, type ServerOptions } from './server.ts'
