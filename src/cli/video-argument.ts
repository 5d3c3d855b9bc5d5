/** A word of the command line as a video: an https URL, or else a path. */
export function videoArgument(word: string): string | URL {
  return /^https?:\/\//i.test(word) ? new URL(word) : word
}
