export interface Machine {
  engines: number
  clipsPerEngine: number
  pictureMs: number
  hostMs: number
  cpuWorkers: number
  cpuPictureMs: number
  encodeMs: number
  encodeClipMs: number
  maxBatch: number
  batchesInFlight: number
}

export interface Load {
  callers?: number
  rate?: number
  clips: number
}

export interface Outcome {
  perSecond: number
  p50: number
  p99: number
  meanBatch: number
  nvdecBusy: number
  cpuShare: number
  encoderBusy: number
}

export function simulate(
  machine: Machine,
  clip: { decoded: number; runs: { decoded: number }[] },
  load: Load,
  random: () => number,
): Outcome
