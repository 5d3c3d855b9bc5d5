// A discrete-event simulation of clips on their way through decoders and encoder.

/**
 * @typedef {object} Machine
 * @property {number} engines NVDEC engines
 * @property {number} clipsPerEngine clips that an engine works on at a time
 * @property {number} pictureMs time of an engine per decoded picture; skipped ones cost nothing
 * @property {number} hostMs time of a clip outside the engine: opening, demuxing, copying
 * @property {number} cpuWorkers clips that the CPU decodes at a time, in one thread each
 * @property {number} cpuPictureMs time of such a thread per picture
 * @property {number} encodeMs fixed time of a batch
 * @property {number} encodeClipMs additional time per clip in the batch
 * @property {number} maxBatch
 * @property {number} batchesInFlight batches that take turns on the GPU
 *
 * @typedef {object} Load
 * @property {number} [callers] of a bulk job: each sends its next clip when it has its answer
 * @property {number} [rate] queries per second with Poisson arrivals, instead of callers
 * @property {number} clips number of simulated clips; the first tenth is not counted
 */

/**
 * @param {Machine} machine
 * @param {{ decoded: number, runs: { decoded: number }[] }} clip of picturesOfClip
 * @param {Load} load
 * @param {() => number} random in [0, 1)
 */
export function simulate(machine, clip, load, random) {
  const events = new Events()
  const decoder = new Decoder(machine, clip, events, load.rate === undefined)
  const encoder = new Encoder(machine, events)
  const latencies = []
  const ends = []
  let begun = 0

  const ask = () => {
    if (begun === load.clips) return
    begun += 1
    const at = events.now
    decoder.add(() =>
      encoder.add(() => {
        latencies.push(events.now - at)
        ends.push(events.now)
        if (load.rate === undefined) ask()
      }),
    )
  }
  if (load.rate === undefined) {
    // Real callers do not all start at the same moment.
    for (let i = 0; i < load.callers; i++) events.after(random() * 100, ask)
  } else {
    const arrive = () => {
      ask()
      if (begun < load.clips) events.after((-Math.log(1 - random()) * 1000) / load.rate, arrive)
    }
    arrive()
  }
  events.run()

  const warm = Math.floor(load.clips / 10)
  const counted = latencies.slice(warm).sort((a, b) => a - b)
  const span = ends.at(-1) - (ends[warm - 1] ?? 0)
  const at = (share) => counted[Math.min(counted.length - 1, Math.ceil(share * counted.length) - 1)]
  return {
    perSecond: (counted.length / span) * 1000,
    p50: at(0.5),
    p99: at(0.99),
    meanBatch: load.clips / encoder.batches,
    nvdecBusy: decoder.busyMs / machine.engines / events.now,
    cpuShare: decoder.onCpu / load.clips,
    encoderBusy: encoder.busyMs / events.now,
  }
}

/** Sends a clip where it is expected to finish first, as native/media/decode/decode_router.cc does. */
class Decoder {
  busyMs = 0
  onCpu = 0
  #cpuClips = 0
  #places = 0
  #waiting = []
  #engines

  constructor(machine, clip, events, bulk) {
    this.machine = machine
    this.bulk = bulk
    this.clip = clip
    this.events = events
    this.#engines = Array.from({ length: machine.engines }, () => 0) // the time at which each is free
  }

  add(done) {
    const { engines, clipsPerEngine, pictureMs, hostMs, cpuWorkers, cpuPictureMs } = this.machine
    const places = engines * clipsPerEngine
    const nvdecMs = this.clip.decoded * pictureMs + hostMs
    const cpuMs = this.clip.decoded * cpuPictureMs
    const ahead = this.#places + this.#waiting.length
    const wait = ahead < places ? 0 : (ahead * nvdecMs) / places
    // As native/media/decode/decode_router.cc: in a bulk job that keeps NVDEC busy, the CPU may take its time.
    const patience = this.bulk && wait > 0 ? 4 : 1
    if (this.#cpuClips < cpuWorkers && cpuMs < patience * (wait + nvdecMs)) {
      this.#cpuClips += 1
      this.onCpu += 1
      this.events.after(cpuMs, () => {
        this.#cpuClips -= 1
        done()
      })
      return
    }
    this.#waiting.push(done)
    this.#begin()
  }

  #begin() {
    const { engines, clipsPerEngine, pictureMs, hostMs } = this.machine
    while (this.#waiting.length > 0 && this.#places < engines * clipsPerEngine) {
      const done = this.#waiting.shift()
      // A lone clip distributes its runs among the idle engines.
      const idle = engines * clipsPerEngine - this.#places
      const lanes = this.#waiting.length === 0 ? Math.min(idle, engines, this.clip.runs.length) : 1
      const shares = share(this.clip.runs, lanes)
      this.#places += shares.length
      let left = shares.length
      for (const pictures of shares) {
        const work = pictures * pictureMs
        this.busyMs += work
        const engine = this.#engines.indexOf(Math.min(...this.#engines))
        const free = Math.max(this.#engines[engine], this.events.now + hostMs / 2) + work
        this.#engines[engine] = free
        this.events.after(free + hostMs / 2 - this.events.now, () => {
          this.#places -= 1
          left -= 1
          if (left === 0) done()
          this.#begin()
        })
      }
    }
  }
}

/** Distributes the runs, the longest first, each to the lane with the least work. */
function share(runs, lanes) {
  const sums = Array.from({ length: lanes }, () => 0)
  for (const { decoded } of [...runs].sort((a, b) => b.decoded - a.decoded)) {
    sums[sums.indexOf(Math.min(...sums))] += decoded
  }
  return sums
}

/** Forms a batch of the waiting clips when fewer than `batchesInFlight` are under way. The GPU runs one batch at a time. */
class Encoder {
  busyMs = 0
  batches = 0
  #waiting = []
  #inFlight = 0
  #free = 0

  constructor(machine, events) {
    this.machine = machine
    this.events = events
  }

  add(done) {
    this.#waiting.push(done)
    this.#begin()
  }

  #begin() {
    const { maxBatch, batchesInFlight, encodeMs, encodeClipMs } = this.machine
    while (this.#waiting.length > 0 && this.#inFlight < batchesInFlight) {
      const batch = this.#waiting.splice(0, maxBatch)
      const work = encodeMs + batch.length * encodeClipMs
      this.#inFlight += 1
      this.batches += 1
      this.busyMs += work
      this.#free = Math.max(this.#free, this.events.now) + work
      this.events.after(this.#free - this.events.now, () => {
        this.#inFlight -= 1
        for (const done of batch) done()
        this.#begin()
      })
    }
  }
}

/** The event queue: the clock jumps to the next event. */
class Events {
  now = 0
  #queue = []
  #count = 0

  after(ms, run) {
    const event = { at: this.now + ms, order: this.#count++, run }
    let low = 0
    let high = this.#queue.length // latest first
    while (low < high) {
      const middle = (low + high) >> 1
      const other = this.#queue[middle]
      if (other.at > event.at || (other.at === event.at && other.order > event.order)) low = middle + 1
      else high = middle
    }
    this.#queue.splice(low, 0, event)
  }

  run() {
    for (let event = this.#queue.pop(); event; event = this.#queue.pop()) {
      this.now = event.at
      event.run()
    }
  }
}
