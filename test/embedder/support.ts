/** An embedder on a double of the addon, and the checks after each test. */
import { afterEach, expect } from 'vitest'
import { openEmbedder } from '../../src/embedder.ts'
import type { Embedder, EmbedderOptions } from '../../src/index.ts'
import { tinyBundle } from './bundle.ts'
import { BindingDouble } from './double.ts'

export const model = tinyBundle()
// Only its existence is checked, because no addon opens it here.
export const onnxruntime = { library: new URL(import.meta.url).pathname }
const doubles: BindingDouble[] = []

export async function open(
  options: EmbedderOptions = {},
): Promise<{ embedder: Embedder; double: BindingDouble }> {
  const double = new BindingDouble()
  doubles.push(double)
  const embedder = await openEmbedder({ model, onnxruntime, ...options }, double)
  return { embedder, double }
}

export const clip = (id: number, windows = 0) => new Uint8Array([id, windows])
export const turns = async (count = 5) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

export function nothingLeft({ embedder, double }: { embedder: Embedder; double: BindingDouble }) {
  expect({
    clips: double.clipsAlive,
    readers: double.readersOpen,
    jobs: double.runningJobs,
    misuse: double.misuse,
    ...embedder.stats().inFlight,
    ...Object.fromEntries(
      Object.entries(embedder.stats().queues).map(([name, { waiting, running }]) => [
        name,
        waiting + running,
      ]),
    ),
  }).toEqual({
    clips: 0,
    readers: 0,
    jobs: 0,
    misuse: [],
    items: 0,
    bytes: 0,
    requests: 0,
    download: 0,
    decode: 0,
    encode: 0,
  })
}

/** The reason of a rejected promise. Fails if the promise was fulfilled. */
export const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('should have failed'),
    (failure) => failure,
  )

afterEach(() => {
  for (const double of doubles.splice(0)) {
    expect([double.clipsAlive, double.readersOpen], 'every clip and reader was freed').toEqual([0, 0])
  }
})
