// The constants of the simulation for one H100, and their sources. H.264 at 1080p; the full-size model in bf16.

export const h100 = {
  engines: 7,
  // `bench gpu --only decode`: 76.8 clips/s of 59 decoded pictures each on 7 engines, 23.9 clips/s of 196.
  pictureMs: 1.52,
  // The same with one clip per engine: 67.6 clips/s.
  hostMs: 12.4,
  clipsPerEngine: 2,
  // The same on 16 cores without the GPU: 16 clips/s, so one core needs a second for 59 pictures.
  cpuPictureMs: 17,
  // `bench gpu --only encode`: 81.6 clips/s at batch 1 to 93.6 at batch 16, with two batches in flight.
  encodeMs: 1.55,
  encodeClipMs: 10.6,
  batchesInFlight: 2,
}

/** Measured on the GPU for the whole path with one clip per engine: `bench gpu --only path`, 64 callers. */
export const measured = [
  { gop: 30, tolerance: 0, perSecond: 65.8 },
  { gop: 30, tolerance: 0.5, perSecond: 91.1 },
  { gop: 250, tolerance: 0, perSecond: 23.1 },
  { gop: 250, tolerance: 0.5, perSecond: 24.6 },
]

/** Measured for decoding alone with one caller, p50 in ms: on one engine, and on all idle engines. */
export const measuredAlone = [
  { gop: 30, one: 95.1, all: 28.8 },
  { gop: 250, one: 283.9, all: 147.5 },
]
