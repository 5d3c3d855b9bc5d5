// The treatments of a stream on its way into a container: cut, joined, fragmented, without an index, at other times, …
// No treatment encodes again.

import { addLayer, cutStart, hide, rotate, setEveryBlockKey } from './edits.mjs'
import { discardEarlierPictures, hideSomePictures } from './hevc-edits.mjs'

/** Growing intervals, monotonic for any time base: t + t²/8, in ticks. */
const slower = (time) => `${time}+floor(${time}*${time}*TB/8)`
/** A gap of three seconds without a frame. */
const gap = (time) => `${time}+if(gte(${time}*TB,1.2),3/TB,0)`
const setTimes = (pts, dts) => ['-bsf:v', `setts=pts='${pts}':dts='${dts}'`]
const isMp4 = ({ name }) => name === 'mp4' || name === 'mov'
const isMatroska = ({ name }) => name === 'mkv' || name === 'webm'
const any = (_container, _stream) => true

/**
 * name → {
 *   takes(container, stream): whether the treatment applies,
 *   input, output: arguments of the ffmpeg command before and after `-i stream`,
 *   pipe: the file is written to a pipe, so that the muxer cannot go back and write an index,
 *   elementary(bytes): edits the HEVC stream before it is put into the container,
 *   sound: adds a sound track, joined: the stream follows itself, edit(bytes): edits the finished file,
 *   mayBeEmpty: perhaps no picture can be decoded, whole: every picture must be shown once and in order
 * }
 */
export const treatments = {
  plain: { takes: any, whole: true },
  sound: { takes: ({ audio }) => audio !== undefined, sound: true, whole: true },
  'variable rate': {
    takes: ({ times }) => times,
    output: setTimes(slower('PTS'), slower('DTS')),
    whole: true,
  },
  'a gap': {
    takes: ({ times }) => times,
    output: setTimes(gap('PTS'), gap('DTS')),
    whole: true,
  },
  'starts late': {
    takes: ({ times, name }) => times && name !== 'ivf',
    output: ['-output_ts_offset', '7.5'],
    whole: true,
  },
  'no index': {
    takes: ({ name }) => ['mkv', 'webm', 'avi', 'flv', 'asf', 'mpg'].includes(name),
    pipe: true,
    whole: true,
  },
  fragments: {
    takes: isMp4,
    output: ['-movflags', 'frag_keyframe+empty_moov+default_base_moof'],
    whole: true,
  },
  'a fragment a frame': { takes: isMp4, output: ['-movflags', 'frag_every_frame+empty_moov'], whole: true },
  dash: { takes: isMp4, output: ['-movflags', 'dash+frag_keyframe+global_sidx'], whole: true },
  'index first': { takes: isMp4, output: ['-movflags', 'faststart'], whole: true },
  'short clusters': { takes: isMatroska, output: ['-cluster_time_limit', '80'], whole: true },
  'edit list': { takes: isMp4, input: ['-ss', '0.93'] },
  'edit list from the end': { takes: isMp4, input: ['-ss', '1.5'], output: ['-t', '0.61'] },
  trimmed: { takes: (container) => !isMp4(container), input: ['-ss', '0.93'] },
  'trimmed without edit list': { takes: isMp4, input: ['-ss', '0.93'], output: ['-use_editlist', '0'] },
  'end trimmed': { takes: any, output: ['-t', '1.3'] },
  'begins anywhere': {
    takes: ({ bytes }, { codec }) => bytes && codec !== 'av1',
    edit: cutStart(0.3),
    mayBeEmpty: true,
  },
  truncated: {
    takes: ({ name }) => !isMp4({ name }) && name !== 'obu',
    edit: (bytes) => bytes.subarray(0, Math.floor(bytes.length * 0.83)),
  },
  'truncated fragments': {
    takes: isMp4,
    output: ['-movflags', 'frag_keyframe+empty_moov+default_base_moof'],
    edit: (bytes) => bytes.subarray(0, Math.floor(bytes.length * 0.83)),
  },
  joined: { takes: ({ bytes }) => bytes, edit: (bytes) => Buffer.concat([bytes, bytes]) },
  'joined by concat': { takes: ({ times, name }) => times && name !== 'ivf', joined: true },
  'every sample a key': {
    takes: (container, { intra }) => isMp4(container) && !intra,
    edit: hide('stss'),
    whole: true,
  },
  'every block a key': { takes: isMatroska, edit: setEveryBlockKey, whole: true },
  'no composition times': {
    takes: (container, { reorders }) => isMp4(container) && reorders,
    edit: hide('ctts'),
  },
  'times of decoding': {
    takes: ({ times, name }, { reorders }) => times && name !== 'ivf' && reorders,
    output: setTimes('DTS', 'DTS'),
  },
  'a second layer': {
    takes: ({ name }, { codec, reorders }) => name === 'mkv' && codec === 'hevc' && !reorders,
    elementary: addLayer,
    whole: true,
  },
  'pictures discarded': { takes: ({ name }) => name === 'hevc', edit: discardEarlierPictures },
  'pictures hidden': { takes: ({ name }) => name === 'hevc', edit: hideSomePictures },
  'negative times': {
    takes: ({ name }, { reorders }) => isMatroska({ name }) && !reorders,
    output: [
      ...setTimes(`${slower('PTS')}-floor(0.1/TB)`, `${slower('DTS')}-floor(0.1/TB)`),
      '-avoid_negative_ts',
      'disabled',
    ],
    whole: true,
  },
  rotated: { takes: isMp4, edit: rotate, whole: true },
}
for (const [name, one] of Object.entries(treatments)) one.name = name
