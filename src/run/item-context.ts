/** What an item needs to know of the call it belongs to, and what the call was asked for. */
import type { Call } from '../call/calls.ts'
import type { Passed } from '../call/progress.ts'
import type { Lease } from '../schedule/admission.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import type { CallOptions, FramesInput, ItemOptions, Video, VideoOptions } from '../types.ts'

export interface Way {
  call: Call
  priority: Priority
  lease: Lease
  /** What the caller knows the item by. */
  key?: unknown
  passed?: Passed | undefined
}

/** The same before it is admitted. */
export interface Asked extends Omit<Way, 'lease'> {
  whenFull: CallOptions['whenFull']
}

/** Of calls for one item, where somebody waits for the answer. */
export function asked({ priority = 'query', whenFull }: ItemOptions): Omit<Asked, 'call'> {
  return { priority, whenFull }
}

export function rangeOf({
  start,
  end,
  frameRule,
  frameTolerance,
}: VideoOptions): Pick<VideoOptions, 'start' | 'end' | 'frameRule' | 'frameTolerance'> {
  return { start, end, frameRule, frameTolerance }
}

export function isFrames(video: Video | FramesInput): video is FramesInput {
  return typeof video === 'object' && Array.isArray((video as Partial<FramesInput> | null)?.frames)
}
