export interface Run {
  decoded: number
  skipped: number
}

export interface ClipOfVideo {
  seconds: number
  fps: number
  gop: number
  /** Default 8. */
  frames?: number
  /** Seconds. Default 0. */
  tolerance?: number
}

export function packetsUpTo(position: number, last: number): number
export function picturesOfClip(clip: ClipOfVideo): Run & { runs: Run[] }
