// Chooses the videos that the comparison generates: a seeded selection from all sensible combinations.

import { randomFrom } from '../random.mjs'
import { containers, streams } from './streams.mjs'
import { treatments } from './treatments.mjs'

/** Every stream in every container that takes it, with every treatment that applies. `decoders`: the available ones. */
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
 * Selects `count` of them, shuffled by `seed`. Combinations that add the most new pairs (stream and container, container and
 * treatment, codec and treatment) come first, so that every pair is covered if `count` allows.
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
  const random = randomFrom(seed)
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1))
    ;[items[i], items[j]] = [items[j], items[i]]
  }
  return items
}
