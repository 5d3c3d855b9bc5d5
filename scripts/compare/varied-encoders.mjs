// Random settings of the encoders that the ffmpeg command has, for videos with several peculiarities.

const interlacing = ['-flags', '+ildct+ilme']

/** codec → the arguments of an encoder, whether pictures need even sizes, and what is peculiar, in words */
export const encoders = {
  h264(chance, gop) {
    const frames = chance.of([0, 1, 2, 3, 5, 8])
    const format = chance.of([
      'yuv420p',
      'yuv420p',
      'yuv420p10le',
      'yuv422p',
      'yuv444p',
      'gray',
      'yuv422p10le',
    ])
    const options = [
      'no-scenecut',
      'threads=1',
      `b-adapt=${chance.of([0, 0, 1])}`,
      `b-pyramid=${chance.of(['none', 'strict', 'normal'])}`,
      `ref=${chance.between(1, 6)}`,
      `open-gop=${chance.below(2)}`,
      `slices=${chance.of([1, 1, 4])}`,
      `aud=${chance.below(2)}`,
      `weightp=${chance.below(3)}`,
      ...(chance.yes(0.15) ? ['intra-refresh=1', 'open-gop=0'] : []),
      ...(chance.yes(0.3) ? ['no-cabac'] : []),
      ...(chance.yes(0.1) ? ['stitchable=1'] : []),
    ]
    const fields = format.startsWith('yuv42') && chance.yes(0.25)
    if (fields) options.push(chance.of(['tff=1', 'bff=1', 'fake-interlaced=1']), 'weightp=0')
    return {
      even: true,
      args: [
        '-c:v',
        'libx264',
        '-preset',
        'veryfast',
        '-bf',
        frames,
        '-g',
        gop,
        '-pix_fmt',
        format,
        '-x264opts',
        options.join(':'),
      ],
      said: `${format} gop ${gop} bf ${frames} ${options.slice(2).join(' ')}`,
    }
  },
  hevc(chance, gop) {
    const frames = chance.of([0, 2, 3, 4, 7])
    const format = chance.of(['yuv420p', 'yuv420p', 'yuv420p10le', 'yuv422p', 'yuv444p', 'gray'])
    const options = [
      'log-level=none',
      'pools=none',
      'frame-threads=1',
      'scenecut=0',
      `b-adapt=${chance.of([0, 0, 2])}`,
      `bframes=${frames}`,
      `keyint=${gop}`,
      `min-keyint=${gop}`,
      `open-gop=${chance.below(2)}`,
      `b-pyramid=${chance.below(2)}`,
      `aud=${chance.below(2)}`,
      `repeat-headers=${chance.below(2)}`,
      ...(chance.yes(0.2) ? ['temporal-layers=2'] : []),
      ...(chance.yes(0.2) && frames > 0 ? ['radl=2', 'open-gop=0'] : []),
      ...(chance.yes(0.2) ? ['eos=1'] : []),
      ...(chance.yes(0.15) ? ['interlace=tff'] : []),
      ...(chance.yes(0.2) ? ['lossless=1'] : []),
    ]
    return {
      even: true,
      args: [
        '-c:v',
        'libx265',
        '-preset',
        'ultrafast',
        '-pix_fmt',
        format,
        '-x265-params',
        options.join(':'),
      ],
      said: `${format} gop ${gop} ${options.slice(4).join(' ')}`,
    }
  },
  av1(chance, gop) {
    const format = chance.of(['yuv420p', 'yuv420p', 'yuv420p10le'])
    if (chance.yes(0.4)) {
      const args = ['-c:v', 'libsvtav1', '-preset', '12', '-g', gop, '-pix_fmt', format]
      const options = [`irefresh-type=${chance.between(1, 2)}`, ...(chance.yes(0.3) ? ['film-grain=20'] : [])]
      return {
        even: true,
        args: [...args, '-svtav1-params', options.join(':')],
        said: `svt ${format} gop ${gop} ${options.join(' ')}`,
      }
    }
    const options = [
      `enable-global-motion=${chance.below(2)}`,
      `aq-mode=${chance.below(4)}`,
      ...(chance.yes(0.3) ? ['film-grain-test=2'] : []),
    ]
    const wide = chance.yes(0.3) ? 'yuv444p' : format
    const lag = chance.of([0, 5, 19, 25])
    return {
      args: [
        '-c:v',
        'libaom-av1',
        '-cpu-used',
        '8',
        '-lag-in-frames',
        lag,
        '-g',
        gop,
        '-b:v',
        '150k',
        '-pix_fmt',
        wide,
        '-aom-params',
        options.join(':'),
      ],
      said: `aom ${wide} gop ${gop} lag ${lag} ${options.join(' ')}`,
    }
  },
  vp8(chance, gop) {
    const args = [
      '-auto-alt-ref',
      chance.below(2),
      '-lag-in-frames',
      chance.of([0, 16]),
      '-error-resilient',
      chance.of([0, 0, 1]),
      '-slices',
      chance.of([1, 4]),
    ]
    return {
      args: ['-c:v', 'libvpx', '-b:v', '200k', '-g', gop, ...args],
      said: `gop ${gop} ${args.join(' ')}`,
    }
  },
  vp9(chance, gop) {
    const args = [
      '-auto-alt-ref',
      chance.of([0, 1, 6]),
      '-lag-in-frames',
      chance.of([0, 19]),
      '-error-resilient',
      chance.of([0, 0, 1]),
      '-frame-parallel',
      chance.below(2),
      '-lossless',
      chance.of([0, 0, 1]),
    ]
    const format = chance.of(['yuv420p', 'yuv420p', 'yuv422p', 'yuv440p', 'yuv444p', 'yuv420p10le', 'gbrp'])
    return {
      args: ['-c:v', 'libvpx-vp9', '-b:v', '200k', '-cpu-used', '8', '-g', gop, '-pix_fmt', format, ...args],
      said: `${format} gop ${gop} ${args.join(' ')}`,
    }
  },
  mpeg4(chance, gop) {
    const flags = ['+cgop', '+qpel', '+mv4', '+aic', '+ildct+ilme'].filter(() => chance.yes(0.3))
    const frames = chance.of([0, 1, 2, 4])
    const xvid = chance.yes(0.3)
    if (xvid)
      return {
        args: ['-c:v', 'libxvid', '-q:v', 4, '-bf', frames, '-g', gop],
        said: `xvid gop ${gop} bf ${frames}`,
      }
    return {
      args: [
        '-c:v',
        'mpeg4',
        '-q:v',
        4,
        '-bf',
        frames,
        '-g',
        gop,
        '-sc_threshold',
        '1000000000',
        ...(flags.length > 0 ? ['-flags', flags.join('')] : []),
      ],
      said: `gop ${gop} bf ${frames} ${flags.join('')}`,
    }
  },
  mpeg2(chance, gop) {
    const frames = chance.of([0, 1, 2, 4])
    const format = chance.of(['yuv420p', 'yuv420p', 'yuv422p'])
    const flags = ['+cgop', '+ildct+ilme'].filter(() => chance.yes(0.4))
    const extra = [
      ...(chance.yes(0.3) ? ['-non_linear_quant', 1, '-qmax', 28] : []),
      ...(chance.yes(0.3) ? ['-intra_vlc', 1] : []),
    ]
    return {
      args: [
        '-c:v',
        'mpeg2video',
        '-q:v',
        4,
        '-bf',
        frames,
        '-g',
        gop,
        '-pix_fmt',
        format,
        '-sc_threshold',
        '1000000000',
        ...extra,
        ...(flags.length > 0 ? ['-flags', flags.join('')] : []),
      ],
      said: `${format} gop ${gop} bf ${frames} ${flags.join('')} ${extra.join(' ')}`,
    }
  },
  mpeg1(chance, gop) {
    const frames = chance.of([0, 2, 3])
    return {
      args: ['-c:v', 'mpeg1video', '-q:v', 4, '-bf', frames, '-g', gop, '-sc_threshold', '1000000000'],
      said: `gop ${gop} bf ${frames}`,
    }
  },
  mjpeg(chance) {
    const format = chance.of(['yuvj420p', 'yuvj422p', 'yuvj444p'])
    const huffman = chance.of(['default', 'optimal'])
    return {
      args: ['-c:v', 'mjpeg', '-q:v', 3, '-pix_fmt', format, '-huffman', huffman],
      said: `${format} ${huffman}`,
    }
  },
  prores(chance) {
    const format = chance.of(['yuv422p10le', 'yuv444p10le', 'yuva444p10le'])
    const interlaced = chance.yes(0.4) ? interlacing : []
    return {
      args: [
        '-c:v',
        'prores_ks',
        '-profile:v',
        format === 'yuv422p10le' ? 0 : 4,
        '-pix_fmt',
        format,
        ...interlaced,
      ],
      even: true,
      said: `${format} ${interlaced.length > 0 ? 'interlaced' : ''}`,
    }
  },
  theora(chance, gop) {
    const format = chance.of(['yuv420p', 'yuv422p', 'yuv444p'])
    return {
      args: ['-c:v', 'libtheora', '-q:v', 6, '-g', gop, '-pix_fmt', format],
      said: `${format} gop ${gop}`,
    }
  },
  wmv(chance, gop) {
    const encoder = chance.of(['wmv1', 'wmv2'])
    return { even: true, args: ['-c:v', encoder, '-q:v', 4, '-g', gop], said: `${encoder} gop ${gop}` }
  },
  ffv1(chance, gop) {
    const level = chance.of([1, 3])
    const format = chance.of(
      level === 1
        ? ['yuv420p', 'yuv411p', 'yuv410p', 'bgr0']
        : [
            'yuv420p',
            'yuv422p10le',
            'yuva420p',
            'gray',
            'gray10le',
            'bgr0',
            'gbrp10le',
            'yuv444p16le',
            'bgra',
          ],
    )
    return {
      args: [
        '-c:v',
        'ffv1',
        '-level',
        level,
        '-g',
        gop,
        '-coder',
        chance.of([0, 1]),
        '-context',
        chance.below(2),
        '-pix_fmt',
        format,
      ],
      said: `${format} gop ${gop} level ${level}`,
    }
  },
  raw(chance) {
    const format = chance.of([
      'yuv420p',
      'uyvy422',
      'yuyv422',
      'bgr24',
      'rgb24',
      'gray',
      'rgb555le',
      'bgra',
      'yuv422p',
    ])
    return { args: ['-c:v', 'rawvideo', '-pix_fmt', format], said: format }
  },
}
