// The known differences from the peer, with reasons. The comparison fails when one no longer occurs: remove its entry then.
// `chance` marks differences that depend on uninitialised memory, which may or may not occur.

/**
 * [{ video: matches its name in the table; what: kinds of differences, see judge.mjs; reason;
 *    avcodec?: major versions of the library's libavcodec, default all; chance? }]
 */
export const known = [
  {
    video: /(^|\/)encrypted_cenc\.mp4$/,
    what: ['refused'],
    reason: 'encrypted, and refused as that; PyAV shows six pictures of noise',
  },
  {
    video: /(^|\/)crash_(deep_reorder|stts_zero)\.mp4$/,
    what: ['times'],
    reason: 'its times repeat or step back in the middle of a GOP, so none is the right one',
  },
  {
    video: / (truncated|ends at \S+)$/,
    what: ['last frame', 'frames'],
    reason: 'cut off within it, which its container does not say: decoders fill in what they had before',
    chance: true,
  },
  {
    video: /^(\d+ )?mpeg1\S* .*(mov|mp4) .*(truncated fragments|ends at \S+)$/,
    what: ['count', 'frames'],
    reason:
      'the picture that is cut off is no frame; behind its MPEG-1 parser PyAV no longer knows that it is cut',
    chance: true,
  },
  {
    video: /^mpeg\S+ mpg end trimmed$/,
    what: ['times'],
    reason: 'the times of decoding, which are all that PyAV has here, have a gap where B-frames were cut off',
    chance: true,
  },
  {
    video: /^\d+ mpeg[12].* mpg (plain$|.*(for|from|begins at|ends at) \S+)/,
    what: ['times'],
    reason:
      'pictures that begin within a packet have no time in a program stream: the library counts on, also from a cut, FFmpeg 8 gives some the time of another',
    chance: true,
  },
  {
    video: /^\d+ mpeg1.* mkv .*negative times/,
    what: ['times', 'count', 'frames'],
    reason: 'a packet has a time of decoding only; PyAV shows it at the time of the one after',
    chance: true,
  },
  {
    video: /^(vc1|mpeg4)-\S+ ts begins anywhere$/,
    what: ['count', 'frames', 'pictures'],
    reason: 'FFmpeg shows a grey picture more, its stand-in for the reference that was cut off',
    chance: true,
  },
  {
    video: /^(\d+ )?hevc.* ts .*begins (anywhere|at \S+)$/,
    avcodec: [59],
    what: ['count', 'frames', 'pictures'],
    reason: 'FFmpeg 5.1 shows the pictures before the first keyframe, damaged; FFmpeg 8 drops them',
    chance: true,
  },
  {
    video: /^vc1-p asf /,
    what: ['times', 'count', 'frames'],
    reason: 'the parser of VC-1 makes up times, and FFmpeg 5.1 others than FFmpeg 8',
    chance: true,
  },
  {
    video: /^vc1-\S+ mkv joined by concat$/,
    what: ['times', 'count'],
    reason:
      'it has times of decoding only, which FFmpeg 8 changes in a stream with B pictures or a step back',
    chance: true,
  },
  {
    video: /^mpeg2-interlaced (mov|mp4) every sample a key$/,
    what: ['made'],
    reason: 'PyAV leaves out its first picture, which FFmpeg 5.1 shows: nothing sound to compare with',
    chance: true,
  },
]
