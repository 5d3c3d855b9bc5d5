/** Connects a call of `live` with the embedder that runs it. */
import { checkCall } from '../call/call-options.ts'
import type { Call, Calls } from '../call/calls.ts'
import { DownloadError, InvalidArgumentError, SourceError } from '../errors.ts'
import type { LiveSessionOptions } from '../live/session.ts'
import { bodyOf } from '../request/items.ts'
import { chunksOf } from '../source/chunks.ts'
import { isResponse, isStream, isUrl } from '../source/type-guards.ts'
import type {
  EmbedderInfo,
  ExtractedFrames,
  FramesOptions,
  ItemInput,
  LiveOptions,
  LiveSegment,
  LiveSource,
  VideoEmbedding,
} from '../types.ts'
import type { DevicePipelines } from './device-pipelines.ts'
import type { AdmissionContext } from './item-context.ts'
import type { ItemResult } from './response.ts'

/** What `live` uses of its embedder. */
export interface LiveHost {
  calls: Calls
  info: EmbedderInfo
  pipelines: DevicePipelines
  embed: (input: ItemInput, context: AdmissionContext) => Promise<ItemResult>
  frames: (call: Call, video: Uint8Array, options: FramesOptions) => Promise<ExtractedFrames>
}

/** The windows of a live stream. `release` closes the stream when the loop ends. */
export async function* liveSegments(
  { calls, info, pipelines, embed, frames }: LiveHost,
  source: LiveSource,
  rawOptions: LiveOptions,
  release: () => void,
): AsyncGenerator<LiveSegment, void, undefined> {
  try {
    const options = checkCall('live', rawOptions)
    const { windowSeconds, strideSeconds = windowSeconds, frameRule, priority, signal } = options
    const input = inputOf(source, pipelines)
    // Loaded here, since most programs never follow a live stream.
    const { LiveSession } = await import('../live/session.ts')
    const firstFrame = { frameRule: { indices: Array.from({ length: info.model.frames }, () => 0) } }
    const call = calls.begin(signal)
    const session = new LiveSession({
      ...input,
      call,
      embed: (video, range) =>
        embed(
          { video, frameRule, ...range },
          { call, priority, whenFull: 'wait' },
        ) as Promise<VideoEmbedding>,
      countShown: async (video) =>
        (await frames(call, video, { ...firstFrame, images: false, priority })).media.frameCount,
      needsPictureBefore: (frameRule ?? info.model.frameRule) === 'curator',
      options: { ...options, strideSeconds },
    })
    yield* session.run()
  } finally {
    release()
  }
}

function inputOf(
  source: LiveSource,
  pipelines: DevicePipelines,
): Pick<LiveSessionOptions, 'open' | 'stalled'> {
  if (isUrl(source)) {
    if (!/^https?:$/.test(source.protocol)) {
      throw new InvalidArgumentError(
        `source: expected an http(s) URL or a stream, found one of ${source.protocol}`,
      )
    }
    return { open: (signal) => pipelines.endless(source.href, signal), stalled: DownloadError }
  }
  const stream = isResponse(source) ? bodyOf(source) : source
  if (!isStream(stream)) {
    throw new InvalidArgumentError(
      'source: expected a URL or a stream of bytes; open a file or a named pipe with fs.createReadStream',
    )
  }
  return { open: (signal) => chunksOf(stream, signal), stalled: SourceError }
}
