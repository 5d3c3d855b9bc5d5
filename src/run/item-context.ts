/** What the run of an item inherits from the call that it belongs to. */
import type { Call } from '../call/calls.ts'
import type { StageListener } from '../call/progress.ts'
import { InvalidArgumentError } from '../errors.ts'
import type { Lease } from '../schedule/admission.ts'
import type { Priority } from '../schedule/priority-queue.ts'
import type { CallOptions, FramesInput, ItemOptions, Video, VideoOptions } from '../types.ts'

/** The context of an admitted item. */
export interface ItemContext {
  call: Call
  priority: Priority
  lease: Lease
  /** The item's `key`. */
  key?: unknown
  onStageDone?: StageListener | undefined
}

/** The context of an item before it is admitted. */
export interface AdmissionContext extends Omit<ItemContext, 'lease'> {
  whenFull: CallOptions['whenFull']
}

/** The context of a call for a single item, whose caller waits for the result. */
export function singleItem({ priority = 'query', whenFull }: ItemOptions): Omit<AdmissionContext, 'call'> {
  return { priority, whenFull }
}

/** The options that choose the frames of a video. */
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

/** Checks the labels of `classify`. Throws InvalidArgumentError. */
export function checkLabels(labels: readonly string[]): void {
  if (Array.isArray(labels) && labels.length > 0 && labels.every((label) => typeof label === 'string')) return
  throw new InvalidArgumentError('labels: must be a list of at least one text')
}
