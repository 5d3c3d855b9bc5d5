// The elementary streams from which the comparison's files are made: one short clip, coded in the ways that real files are.
// Each picture shows its number as a barcode at the top.

import { written as writtenSize } from './vc1.mjs'

export const picture = { width: 144, height: 96, frames: 60, rate: 25, bars: 8 }

const gop = 15
const x264 = (...options) => ['-x264opts', ['no-scenecut', 'threads=1', ...options].join(':')]
const x265 = (...options) => [
  '-x265-params',
  ['log-level=none', 'pools=none', 'frame-threads=1', 'scenecut=0', 'b-adapt=0', ...options].join(':'),
]
const noSceneCut = ['-sc_threshold', '1000000000']
const bits10 = ['-pix_fmt', 'yuv420p10le']
const fullRange709 = ['-color_range', 'pc', '-colorspace', 'bt709']
/** An odd size: the last chroma sample covers one pixel. */
const odd = ['-vf', 'crop=143:95:0:0:exact=1']

/**
 * name → { codec: its name in the containers below, decoder: FFmpeg's, args: of the ffmpeg command, reorders: has B-frames,
 * intra: has keyframes only }.
 */
export const streams = {
  'h264-p': h264('-bf', '0', '-g', gop, ...x264()),
  'h264-b': h264('-bf', '3', '-b_strategy', '0', '-g', gop, ...x264('b-pyramid=normal')),
  'h264-b-flat': h264('-bf', '2', '-b_strategy', '0', '-g', gop, ...x264('b-pyramid=none', 'no-cabac')),
  'h264-open': h264('-bf', '3', '-b_strategy', '0', '-g', gop, ...x264('open-gop=1')),
  'h264-long': h264('-bf', '2', '-g', '250', ...x264('slices=3')),
  'h264-intra': h264('-g', '1', ...x264()),
  'h264-refresh': h264('-bf', '0', '-g', gop, ...x264('intra-refresh=1')),
  'h264-interlaced': h264('-bf', '2', '-g', gop, '-flags', '+ildct+ilme', ...x264()),
  'h264-10bit': h264('-bf', '2', '-g', gop, ...bits10, ...x264()),
  'h264-full-709': h264('-bf', '2', '-g', gop, ...fullRange709, ...x264()),
  'h264-444-odd': h264('-bf', '2', '-g', gop, ...odd, '-pix_fmt', 'yuv444p', ...x264()),
  'hevc-p': hevc(...x265('bframes=0', `keyint=${gop}`)),
  'hevc-b': hevc(...x265('bframes=3', `keyint=${gop}`, 'open-gop=0')),
  'hevc-open': hevc(...x265('bframes=3', `keyint=${gop}`, 'open-gop=1')),
  'hevc-10bit': hevc(...bits10, ...x265('bframes=3', `keyint=${gop}`, 'open-gop=0')),
  'av1-svt': av1('-c:v', 'libsvtav1', '-preset', '10', '-g', '20'),
  'av1-aom': av1('-c:v', 'libaom-av1', '-cpu-used', '8', '-lag-in-frames', '19', '-g', '30', '-b:v', '150k'),
  'av1-10bit': av1('-c:v', 'libsvtav1', '-preset', '10', '-g', '20', ...bits10),
  'vp8-p': vp8('-auto-alt-ref', '0', '-g', gop),
  'vp8-hidden': vp8('-auto-alt-ref', '1', '-lag-in-frames', '16', '-g', '60'),
  'vp8-odd': vp8('-g', gop, ...odd),
  'vp9-p': vp9('-auto-alt-ref', '0', '-g', gop),
  'vp9-hidden': vp9('-auto-alt-ref', '1', '-lag-in-frames', '16', '-g', '60'),
  'vp9-odd': vp9('-g', gop, ...odd),
  'vp9-444': vp9('-g', gop, '-pix_fmt', 'yuv444p'),
  'mpeg4-p': mpeg4('-g', gop),
  'mpeg4-b': mpeg4('-bf', '2', '-g', gop),
  'mpeg4-odd': mpeg4('-bf', '2', '-g', gop, ...odd),
  'mpeg2-p': mpeg2('-g', gop),
  'mpeg2-b': mpeg2('-bf', '2', '-g', gop, '-flags', '+cgop', ...noSceneCut),
  'mpeg2-open': mpeg2('-bf', '2', '-g', gop, ...noSceneCut),
  'mpeg2-interlaced': mpeg2('-bf', '2', '-g', gop, '-flags', '+ildct+ilme+cgop', ...noSceneCut),
  'mpeg1-b': mpeg1('-bf', '2', '-g', gop, ...noSceneCut),
  mjpeg: mjpeg('-pix_fmt', 'yuvj420p'),
  'mjpeg-444': mjpeg('-pix_fmt', 'yuvj444p'),
  'mjpeg-odd': mjpeg('-pix_fmt', 'yuvj422p', ...odd),
  prores: stream('prores', 'prores', '-c:v', 'prores_ks', '-profile:v', '0', '-pix_fmt', 'yuv422p10le'),
  'theora-p': stream('theora', 'theora', '-c:v', 'libtheora', '-q:v', '6', '-g', gop),
  'wmv2-p': stream('wmv', 'wmv2', '-c:v', 'wmv2', '-q:v', '4', '-g', gop),
  'wmv1-p': stream('wmv', 'wmv1', '-c:v', 'wmv1', '-q:v', '4', '-g', gop),
  'ffv1-p': stream('ffv1', 'ffv1', '-c:v', 'ffv1', '-level', '3', '-g', gop),
  'ffv1-10bit': stream('ffv1', 'ffv1', '-c:v', 'ffv1', '-level', '3', '-g', '1', ...bits10),
  raw: stream('raw', 'rawvideo', '-c:v', 'rawvideo'),
  'vc1-p': vc1('advanced', 0),
  'vc1-b': vc1('advanced', 2),
  'wmv3-p': vc1('main', 0),
  'wmv3-b': vc1('main', 2),
}

/** A stream of other arguments, for combinations that are chosen at random. Adds nothing to `streams`. */
export function makeVariant(name, codec, size, args) {
  const { decoder } = Object.values(streams).find((one) => one.codec === codec)
  const given = args.map(String)
  const option = (key) => (given.includes(key) ? given[given.indexOf(key) + 1] : '')
  const parameters = option('-x265-params')
  return {
    name,
    codec,
    decoder: option('-c:v').startsWith('wmv') ? option('-c:v') : decoder,
    args: given,
    size,
    intra:
      ['mjpeg', 'prores', 'raw'].includes(codec) || option('-g') === '1' || /\bkeyint=1:/.test(parameters),
    reorders: Number(option('-bf')) > 0 || (parameters !== '' && !parameters.includes('bframes=0')),
  }
}

for (const [name, one] of Object.entries(streams)) {
  one.name = name
  one.intra = ['mjpeg', 'prores', 'raw'].includes(one.codec) || /-intra$|^ffv1-10bit$/.test(name)
  one.reorders = one.written
    ? one.written.between > 0
    : one.args.includes('-bf')
      ? one.args[one.args.indexOf('-bf') + 1] !== '0'
      : /^hevc-(?!p)/.test(name)
  one.size = one.written
    ? writtenSize
    : one.args.includes(odd[1])
      ? { width: 143, height: 95 }
      : { width: 144, height: 96 }
}

/** @returns {Record<string, any>} */
function stream(codec, decoder, ...args) {
  return { codec, decoder, args: args.map(String) }
}

/**
 * FFmpeg has no encoder of VC-1.
 *
 * @returns {Record<string, any>}
 */
function vc1(profile, between) {
  const codec = profile === 'advanced' ? 'vc1' : 'wmv3'
  const written = { profile, between, gop: 5, count: picture.frames, rate: picture.rate }
  return { ...stream(codec, codec), written }
}

function h264(...args) {
  return stream('h264', 'h264', '-c:v', 'libx264', '-preset', 'veryfast', ...args)
}

function hevc(...args) {
  return stream('hevc', 'hevc', '-c:v', 'libx265', '-preset', 'veryfast', ...args)
}

function av1(...args) {
  return stream('av1', 'libdav1d', ...args)
}

function vp8(...args) {
  return stream('vp8', 'vp8', '-c:v', 'libvpx', '-b:v', '200k', ...args)
}

function vp9(...args) {
  return stream('vp9', 'vp9', '-c:v', 'libvpx-vp9', '-b:v', '200k', '-cpu-used', '8', ...args)
}

function mpeg4(...args) {
  return stream('mpeg4', 'mpeg4', '-c:v', 'mpeg4', '-q:v', '4', ...args)
}

function mpeg2(...args) {
  return stream('mpeg2', 'mpeg2video', '-c:v', 'mpeg2video', '-q:v', '4', ...args)
}

function mpeg1(...args) {
  return stream('mpeg1', 'mpeg1video', '-c:v', 'mpeg1video', '-q:v', '4', ...args)
}

function mjpeg(...args) {
  return stream('mjpeg', 'mjpeg', '-c:v', 'mjpeg', '-q:v', '3', ...args)
}

const windows = ['vc1', 'wmv', 'wmv3']
const general = ['h264', 'hevc', 'av1', 'vp8', 'vp9', 'mpeg4', 'mpeg2', 'mpeg1', 'mjpeg']
const editing = ['prores', 'ffv1', 'raw']
const except = (...codecs) => general.filter((codec) => !codecs.includes(codec))

/** Puts parameter sets before each keyframe, where the container has no other place for them. */
const inStream = 'dump_extra=freq=keyframe'

/**
 * name → { codecs that it takes, extension, muxer of the ffmpeg command, audio: codec of a sound track, times: stores any
 * timestamps, filter: of packets, filtered: the codecs that it is for, default all, reorders: may have B-frames, default true, bytes: concatenated files are a valid file }.
 */
export const containers = {
  mp4: { codecs: except('vp8'), extension: 'mp4', muxer: 'mp4', audio: 'aac', times: true },
  mov: {
    codecs: [...except('vp8', 'vp9', 'av1'), 'prores'],
    extension: 'mov',
    muxer: 'mov',
    audio: 'aac',
    times: true,
  },
  mkv: {
    codecs: [...general, ...editing, ...windows, 'theora'],
    extension: 'mkv',
    muxer: 'matroska',
    audio: 'aac',
    times: true,
  },
  webm: { codecs: ['vp8', 'vp9', 'av1'], extension: 'webm', muxer: 'webm', audio: 'libopus', times: true },
  avi: {
    codecs: [...except('hevc', 'av1', 'vp9'), ...windows, 'ffv1', 'raw'],
    extension: 'avi',
    muxer: 'avi',
    audio: 'mp2',
    times: false,
  },
  ts: {
    codecs: ['h264', 'hevc', 'mpeg4', 'mpeg2', 'mpeg1', 'vc1'],
    extension: 'ts',
    muxer: 'mpegts',
    filter: inStream,
    filtered: ['h264', 'mpeg4'],
    audio: 'aac',
    times: true,
    bytes: true,
  },
  mpg: {
    codecs: ['mpeg2', 'mpeg1', 'h264'],
    extension: 'mpg',
    muxer: 'vob',
    filter: inStream,
    filtered: ['h264'],
    audio: 'mp2',
    times: false,
    bytes: true,
  },
  flv: { codecs: ['h264'], extension: 'flv', muxer: 'flv', audio: 'aac', times: true },
  // It stores one time: a presentation time to the muxer, a decode time to the demuxer. B-frames have no right times then.
  asf: {
    codecs: ['mpeg4', 'mjpeg', ...windows],
    extension: 'asf',
    muxer: 'asf',
    audio: 'mp2',
    times: true,
    reorders: false,
  },
  ogg: { codecs: ['theora'], extension: 'ogv', muxer: 'ogg', audio: 'libvorbis', times: false },
  ivf: { codecs: ['vp8', 'vp9', 'av1'], extension: 'ivf', muxer: 'ivf', times: true },
  obu: { codecs: ['av1'], extension: 'obu', muxer: 'obu', times: false, bytes: true },
  h264: { codecs: ['h264'], extension: 'h264', muxer: 'h264', filter: inStream, times: false, bytes: true },
  hevc: { codecs: ['hevc'], extension: 'hevc', muxer: 'hevc', filter: inStream, times: false, bytes: true },
}
for (const [name, one] of Object.entries(containers)) one.name = name
