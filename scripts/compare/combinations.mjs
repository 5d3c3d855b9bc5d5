// Which of the comparison's own videos are made: a seeded choice among all that make sense.

import { containers, streams } from './streams.mjs'
import { treatments } from './treatments.mjs'

/** Every stream in every container that takes it, treated in every way that makes sense there. `decoders`: those at hand. */
export function all(decoders) {
  const decodable = Object.values(streams).filter(({ decoder }) => !decoders || decoders.includes(decoder))
  return decodable.flatMap((stream) =>
    Object.values(containers)
      .filter(
        ({ codecs, reorders = true }) => codecs.includes(stream.codec) && (reorders || !stream.reorders),
      )
      .flatMap((container) =>
        Object.values(treatments)
          .filter(({ takes }) => takes(container, stream))
          .map((treatment) => ({
            name: `${stream.name} ${container.name} ${treatment.name}`,
            stream,
            container,
            treatment,
          })),
      ),
  )
}

/**
 * `count` of them, shuffled by `seed`: first those that bring the most pairs of stream and container, container and
 * treatment or codec and treatment that are not there yet, so that every pair is among them where there is room.
 */
export function some(count, seed, decoders) {
  let left = shuffle(all(decoders), seed)
  const seen = new Set()
  const chosen = []
  for (const news of [3, 2, 1, 0]) {
    left = left.filter((combination) => {
      const pairs = pairsOf(combination)
      if (pairs.filter((pair) => !seen.has(pair)).length < news) return true
      for (const pair of pairs) seen.add(pair)
      chosen.push(combination)
      return false
    })
  }
  return chosen.slice(0, count).sort((a, b) => (a.name < b.name ? -1 : 1))
}

function pairsOf({ stream, container, treatment }) {
  return [
    `${stream.name} in ${container.name}`,
    `${treatment.name} in ${container.name}`,
    `${stream.codec}: ${treatment.name}`,
  ]
}

function shuffle(items, seed) {
  const random = mulberry32(seed)
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1))
    ;[items[i], items[j]] = [items[j], items[i]]
  }
  return items
}

/** A small generator of pseudo-random numbers in [0, 1) with 32 bits of state. */
function mulberry32(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}
