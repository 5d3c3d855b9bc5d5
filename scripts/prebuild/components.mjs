// The components of the packaged FFmpeg: those that native/ffmpeg allows, read from its source so that there is one list.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { PrebuildError } from './run.mjs'

// The first name of a demuxer at run time → its name in FFmpeg's configure, where they differ.
const demuxerNames = { mpeg: 'mpegps' }
// Further run-time names of demuxers, which configure does not know.
const aliases = new Set(['mp4', 'm4a', '3gp', '3g2', 'mj2', 'webm'])
// Allowed in a system's FFmpeg. The packaged one decodes VP8 and VP9 with FFmpeg's own decoders and AV1 with dav1d.
const systemOnly = new Set(['av1', 'libaom-av1', 'libvpx', 'libvpx-vp9'])
// Never opened, but FFmpeg probes with them where a container does not name the codec, above all MPEG-PS.
const probes = ['mpegvideo', 'm4v']
const pictureDecoders = ['png', 'webp']
const parsers = ['h264', 'hevc', 'av1', 'vp8', 'vp9', 'vc1', 'mpeg4video', 'mpegvideo', 'mjpeg', 'vp3', 'gif']
// Without these, FFmpeg probes a transport stream up to the limit, because the audio parameters stay unknown.
const soundParsers = ['aac', 'aac_latm', 'ac3', 'mpegaudio', 'opus']

/** @returns demuxers, probes, decoders, parsers and filters: names as FFmpeg's configure takes them */
export function components(root) {
  const source = readFileSync(path.join(root, 'native', 'ffmpeg', 'ffmpeg.cc'), 'utf8')
  const allowed = (name) => {
    const body = new RegExp(`${name}\\(\\) \\{\\s*return ((?:"[^"]*"\\s*)+);`).exec(source)?.[1]
    if (!body) throw new PrebuildError(`native/ffmpeg/ffmpeg.cc has no list ${name}()`)
    return [...body.matchAll(/"([^"]*)"/g)].flatMap(([, part]) => part.split(',')).filter(Boolean)
  }
  return {
    demuxers: allowed('AllowedDemuxers')
      .filter((name) => !aliases.has(name))
      .map((name) => demuxerNames[name] ?? name),
    probes,
    decoders: [...allowed('AllowedDecoders').filter((name) => !systemOnly.has(name)), ...pictureDecoders],
    parsers: [...parsers, ...soundParsers],
    filters: bitstreamFilters(root),
  }
}

/** The bitstream filters that prepare packets for NVDEC. */
function bitstreamFilters(root) {
  const source = readFileSync(path.join(root, 'native', 'ffmpeg', 'bitstream_filter.cc'), 'utf8')
  const body = /FilterName\([^)]*\) \{([^}]*)\}/.exec(source)?.[1] ?? ''
  const filters = [...body.matchAll(/return "([^"]*)"/g)].map(([, name]) => name)
  if (filters.length === 0) throw new PrebuildError('native/ffmpeg/bitstream_filter.cc names no filters')
  return filters
}
