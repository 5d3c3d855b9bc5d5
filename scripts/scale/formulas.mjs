// What an index of many clips takes: formulas over the reader's numbers, without input or output.

/**
 * @typedef {object} Load
 * @property {number} clips
 * @property {number} seconds length of a clip
 * @property {number} mbit bit rate of a clip, Mbit/s
 * @property {number} rowBytes bytes of one vector with its columns in the index
 * @property {number} jobItems items per job
 * @property {number} jobBytes bytes of one job in Redis
 * @property {number} maxJobs jobs that wait in Redis at one time
 */

/**
 * @typedef {object} Unit what is bought by the hour: a core, or a GPU
 * @property {string} name
 * @property {number} decode clips that one unit decodes per second, if it did nothing else
 * @property {number} encode clips that one unit encodes per second, if it did nothing else
 * @property {boolean} together whether decoding and encoding take turns on the unit (a core), or run beside each other (a GPU)
 * @property {number} overlap share of the slower stage's rate that the whole path reaches, 0 to 1
 * @property {number} price of a unit and hour
 */

/**
 * @typedef {object} Estimate
 * @property {number} rate clips per second of one unit
 * @property {'decode' | 'encode'} bottleneck the stage that takes most of a unit's time
 * @property {number} unitHours
 * @property {number} cost
 * @property {number} hours with so many units, if the network suffices
 * @property {number} units
 * @property {number} networkGbit that these units read
 */

/**
 * Clips per second of one unit, and what limits it.
 * @param {Unit} unit
 * @returns {{ rate: number, bottleneck: 'decode' | 'encode' }}
 */
export function rateOf({ decode, encode, together, overlap }) {
  const bottleneck = decode < encode ? 'decode' : 'encode'
  const rate = together ? 1 / (1 / decode + 1 / encode) : Math.min(decode, encode)
  return { rate: rate * overlap, bottleneck }
}

/**
 * @param {Load} load
 * @param {Unit} unit
 * @param {{ units?: number, hours?: number, networkGbit?: number }} wanted either the number of units, or the time that it may
 *   take; `networkGbit` is what the source delivers
 * @returns {Estimate & { networkBound: boolean }}
 */
export function estimate(load, unit, { units, hours, networkGbit = Number.POSITIVE_INFINITY }) {
  const { rate, bottleneck } = rateOf(unit)
  const bitsPerClip = load.seconds * load.mbit * 1e6
  const count = units ?? Math.max(1, Math.ceil(load.clips / rate / (hours * 3600)))
  const wantedGbit = (rate * count * bitsPerClip) / 1e9
  const networkBound = wantedGbit > networkGbit
  const reached = networkBound ? (networkGbit * 1e9) / bitsPerClip : rate * count
  const taken = load.clips / reached / 3600
  return {
    rate,
    bottleneck,
    units: count,
    hours: taken,
    // Units that wait for the network are paid for too.
    unitHours: taken * count,
    cost: taken * count * unit.price,
    networkGbit: Math.min(wantedGbit, networkGbit),
    networkBound,
  }
}

/**
 * Sizes that do not depend on the machines.
 *
 * @param {Load} load
 */
export function sizesOf(load) {
  const jobs = Math.ceil(load.clips / load.jobItems)
  return {
    sourceBytes: (load.clips * load.seconds * load.mbit * 1e6) / 8,
    indexBytes: load.clips * load.rowBytes,
    jobs,
    redisBytes: Math.min(jobs, load.maxJobs) * load.jobBytes,
    // The producer keeps the ids, to leave out what occurs twice.
    producerBytes: load.clips * 100,
  }
}
