// What goes into our FFmpeg: exactly what native/media lets through, read from its source so that no second list exists.

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { PrebuildError } from './run.mjs'

// A demuxer's name at run time (its first) → in FFmpeg's configure, where they differ.
const demuxerNames = { mpeg: 'mpegps' }
// Names that a demuxer goes by beside its first.
const aliases = new Set(['mp4', 'm4a', '3gp', '3g2', 'mj2', 'webm'])
// Allowed where a system's FFmpeg has them; ours has FFmpeg's own VP8 and VP9, and dav1d for AV1.
const systemOnly = new Set(['av1', 'libaom-av1', 'libvpx', 'libvpx-vp9'])
// Opened by nobody, but asked what a stream is of which its container does not tell the codec: MPEG-PS above all.
const probes = ['mpegvideo', 'm4v']
const pictureDecoders = ['png', 'webp']
const parsers = ['h264', 'hevc', 'av1', 'vp8', 'vp9', 'vc1', 'mpeg4video', 'mpegvideo', 'mjpeg', 'vp3', 'gif']
// Without these, probing a transport stream goes on until its limit for want of the sound's parameters.
const soundParsers = ['aac', 'aac_latm', 'ac3', 'mpegaudio', 'opus']

/** { demuxers, probes, decoders, parsers, filters }: names as FFmpeg's configure takes them. */
export function components(root) {
  const source = readFileSync(path.join(root, 'native', 'media', 'ffmpeg.cc'), 'utf8')
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

/** Those that packets go through on their way to NVDEC. */
function bitstreamFilters(root) {
  const source = readFileSync(path.join(root, 'native', 'media', 'bitstream_filter.cc'), 'utf8')
  const body = /FilterName\([^)]*\) \{([^}]*)\}/.exec(source)?.[1] ?? ''
  const filters = [...body.matchAll(/return "([^"]*)"/g)].map(([, name]) => name)
  if (filters.length === 0) throw new PrebuildError('native/ffmpeg/bitstream_filter.cc names no filters')
  return filters
}
