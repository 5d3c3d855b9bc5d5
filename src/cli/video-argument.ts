/** Reads a command-line argument as a video: an http(s) URL, or else a path. */
export function videoArgument(arg: string): string | URL {
  return /^https?:\/\//i.test(arg) ? new URL(arg) : arg
}
