/** Publishes to `node:diagnostics_channel`, for monitoring tools that have no reference to an embedder. */
import { type Channel, channel } from 'node:diagnostics_channel'
import type { DiagnosticsMessages } from '../event-types.ts'

type Name = keyof DiagnosticsMessages

const channels: Readonly<Record<Name, Channel>> = {
  'cosmos-embed:item': channel('cosmos-embed:item'),
  'cosmos-embed:batch': channel('cosmos-embed:batch'),
  'cosmos-embed:call': channel('cosmos-embed:call'),
  'cosmos-embed:embedder': channel('cosmos-embed:embedder'),
  'cosmos-embed:request': channel('cosmos-embed:request'),
}

/** Costs one check where nobody has subscribed. An error of a subscriber is an uncaught exception, as Node.js has it. */
export function publish<N extends Name>(name: N, message: DiagnosticsMessages[N]): void {
  const target = channels[name]
  if (target.hasSubscribers) target.publish(message)
}
