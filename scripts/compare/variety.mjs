// Videos with several peculiarities at once, chosen at random from a seed: how the encoder was set, and what happened to the
// file afterwards. The other generated videos have one peculiarity each.

import { randomFrom } from '../random.mjs'
import { containers, makeVariant } from './streams.mjs'
import { encoders } from './varied-encoders.mjs'
import { variedTreatment } from './varied-treatments.mjs'

/** How many combinations share an encoded stream: encoding takes longer than everything else. */
const filesPerStream = 5

/** `count` combinations, in the form of those of combinations.mjs; equal for equal seeds. */
export function varied(count, seed, decoders) {
  const chance = chances(randomFrom(seed))
  const chosen = []
  for (let number = 0; chosen.length < count; number += 1) {
    const stream = variedStream(chance, number)
    if (decoders && !decoders.includes(stream.decoder)) continue
    const takers = Object.values(containers).filter(
      ({ codecs, reorders = true }) => codecs.includes(stream.codec) && (reorders || !stream.reorders),
    )
    for (let i = 0; i < filesPerStream && chosen.length < count; i += 1) {
      const container = chance.of(takers)
      const treatment = variedTreatment(chance, container, stream)
      const name = `${String(chosen.length).padStart(4, '0')} ${stream.name} ${container.name} ${treatment.name}`
      chosen.push({ name, stream, container, treatment, mayFail: true })
    }
  }
  return chosen
}

function chances(random) {
  const below = (end) => Math.floor(random() * end)
  return {
    below,
    between: (first, last) => first + below(last - first + 1),
    real: (least, most) => least + random() * (most - least),
    yes: (odds) => random() < odds,
    of: (list) => list[below(list.length)],
  }
}

function variedStream(chance, number) {
  const codec = chance.of(Object.keys(encoders))
  const gop = chance.of([1, 4, 9, 15, 24, 250])
  const { args, filters = [], even = false, said } = encoders[codec](chance, gop)
  const step = even ? 2 : 1
  const size = {
    width: chance.yes(0.5) ? 144 : 144 - step * chance.between(1, 15),
    height: chance.yes(0.5) ? 96 : 96 - step * chance.between(1, 15),
  }
  if (size.width < 144 || size.height < 96) filters.unshift(`crop=${size.width}:${size.height}:0:0:exact=1`)
  if (chance.yes(0.2)) filters.push(`setsar=${chance.of(['4/3', '16/11', '1/2'])}`)
  return makeVariant(`${codec}#${number}(${said} ${size.width}x${size.height})`, codec, size, [
    ...(filters.length > 0 ? ['-vf', filters.join()] : []),
    ...args,
  ])
}
