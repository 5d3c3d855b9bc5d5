/** What monitoring tools see on the diagnostics channels. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { BatchEvent, CallEvent, DiagnosticsMessages, EmbedderEvent } from 'cosmos-embed'
import { expect, it, onTestFinished } from 'vitest'
import { clip, failureOf, open } from './support.ts'

function collect<Name extends keyof DiagnosticsMessages>(name: Name): DiagnosticsMessages[Name][] {
  const seen: DiagnosticsMessages[Name][] = []
  const listener = (message: unknown) => void seen.push(message as DiagnosticsMessages[Name])
  subscribe(name, listener)
  onTestFinished(() => void unsubscribe(name, listener))
  return seen
}

it('tell when an embedder comes and goes', async () => {
  const seen: EmbedderEvent[] = collect('cosmos-embed:embedder')
  const { embedder } = await open()
  const { id: model, fingerprint } = embedder.info().model
  expect(seen).toEqual([{ state: 'created', model, fingerprint, device: 'cpu' }])
  await Promise.all([embedder.dispose(), embedder.dispose()])
  expect(seen.slice(1)).toEqual([{ state: 'closed', model, fingerprint, device: 'cpu' }])
})

it('tell every call, by its outcome', async () => {
  const seen: CallEvent[] = collect('cosmos-embed:call')
  const { embedder } = await open()
  await embedder.embedText('a')
  await failureOf(embedder.embedVideo(clip(255)))
  await failureOf(embedder.embedText('a', { signal: AbortSignal.abort() }))
  await embedder.embedMany([{ text: 'a' }, { text: 'b' }])
  expect(seen.map(({ outcome }) => outcome)).toEqual(['succeeded', 'failed', 'cancelled', 'succeeded'])
  for (const { milliseconds } of seen) expect(milliseconds).toBeGreaterThanOrEqual(0)
})

it('tell every batch, by its size', async () => {
  const seen: BatchEvent[] = collect('cosmos-embed:batch')
  const { embedder } = await open({ batching: { maxVideoBatch: 2 } })
  await embedder.embedMany([{ text: 'a' }, { text: 'b' }, { text: 'c' }])
  await embedder.embedVideo(clip(7))
  const { batches } = embedder.stats()
  const sum = (kind: string) => seen.reduce((sum, each) => sum + (each.kind === kind ? each.size : 0), 0)
  expect([sum('text'), sum('video')]).toEqual([3, 1])
  expect(seen).toHaveLength(batches.text.count + batches.video.count)
})
