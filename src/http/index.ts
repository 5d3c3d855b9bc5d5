/** `cosmos-embed/http`: serves an {@link Embedder} over HTTP, with the API of the Cosmos-Embed1 NIM. Needs `fastify`. */
export type { ErrorBody } from './errors.ts'
export type { HttpLimits, HttpOptions } from './options.ts'
export { cosmosEmbed, cosmosEmbed as default } from './plugin.ts'
export { type CosmosEmbedServer, createServer, type ListenOptions, type ServerOptions } from './server.ts'
