// Runs the targets that are written in JavaScript: scripts/fuzz/targets. Such a file exports
//
//   seeds               texts to begin with
//   run(bytes)          may return or throw what `allowed` accepts; anything else is a finding
//   allowed(error)      whether this is the typed error that the documentation promises
//   longestMessage      of such an error, in characters; default 20,000
//   begin(), end()      prepare and clear, if needed

import { readdirSync } from 'node:fs'
import { mutated } from './mutator.mjs'

const folder = new URL('./targets/', import.meta.url)

export function scriptTargets() {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.mjs'))
    .map((name) => name.slice(0, -'.mjs'.length))
    .sort()
}

export async function loadScript(name) {
  const {
    seeds,
    begin = () => {},
    end = () => {},
    ...rest
  } = await import(new URL(`${name}.mjs`, folder).href)
  return { longestMessage: 20_000, ...rest, begin, end, seeds: seeds.map((seed) => Buffer.from(seed)) }
}

/** A broken promise of a target, with the input that shows it. */
export class Finding extends Error {
  constructor(what, input, options) {
    super(what, options)
    this.name = 'Finding'
    this.input = input
  }
}

/** Rejects with a {@link Finding}. @returns whether the target took the input without an error */
export async function check(target, input) {
  try {
    await target.run(input)
    return true
  } catch (error) {
    if (!target.allowed(error))
      throw new Finding(`not a typed error: ${described(error)}`, input, { cause: error })
    if (error.message.length > target.longestMessage) {
      throw new Finding(`an error message of ${error.message.length} characters`, input, { cause: error })
    }
    return false
  }
}

function described(error) {
  return error?.cause ? `${error.stack}\ncaused by ${error.cause.stack}` : `${error?.stack ?? error}`
}

/** The same input for the same target, seed and round. */
export function inputOf(target, seed, round) {
  return mutated(target.seeds, seed, round)
}
