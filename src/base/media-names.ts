/** File name extensions of media. They only suggest a type; the content decides when a file is opened. */

export const videoExtensions: ReadonlySet<string> = new Set(
  '264 265 3g2 3gp asf av1 avi f4v flv h264 h265 hevc ivf m1v m2ts m2v m4v mkv mov mp4 mpeg mpg mts mxf obu ogm ogv qt ts vob webm wmv y4m'.split(
    ' ',
  ),
)

const pictureExtensions: ReadonlySet<string> = new Set(
  'avif bmp gif heic heif jpe jpeg jpg png tif tiff webp'.split(' '),
)

const soundExtensions: ReadonlySet<string> = new Set('aac flac m4a mp3 oga ogg opus wav weba wma'.split(' '))

export function isMediaExtension(extension: string): boolean {
  return [videoExtensions, pictureExtensions, soundExtensions].some((known) => known.has(extension))
}
