// The model's constants for one H100, and where each is from. H.264 at 1080p; the model's full size in bf16.

export const h100 = {
  engines: 7,
  // `bench gpu --only decode` on a card: 76.8 clips/s of 59 decoded pictures on 7 engines, 23.9 of 196.
  pictureMs: 1.52,
  // The same with one clip for each engine: 67.6 clips/s.
  hostMs: 12.4,
  clipsPerEngine: 2,
  // The same with 16 cores alone: 16 clips/s, so a second of one core for 59 pictures.
  cpuPictureMs: 17,
  // `bench gpu --only encode` on a card: 81.6 clips/s at batch 1 to 93.6 at 16, two batches in flight.
  encodeMs: 1.55,
  encodeClipMs: 10.6,
  batchesInFlight: 2,
}

/** What the card gave for the whole path with one clip for each engine: `bench gpu --only path`, 64 callers. */
export const measured = [
  { gop: 30, tolerance: 0, perSecond: 65.8 },
  { gop: 30, tolerance: 0.5, perSecond: 91.1 },
  { gop: 250, tolerance: 0, perSecond: 23.1 },
  { gop: 250, tolerance: 0.5, perSecond: 24.6 },
]

/** Decoding alone by one caller, p50 in ms: on one engine, and on all that idle. */
export const measuredAlone = [
  { gop: 30, one: 95.1, all: 28.8 },
  { gop: 250, one: 283.9, all: 147.5 },
]
