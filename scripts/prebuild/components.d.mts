/** Names as FFmpeg's configure takes them, read from native/ffmpeg. */
export function components(root: string): {
  demuxers: string[]
  probes: string[]
  decoders: string[]
  parsers: string[]
  filters: string[]
}
