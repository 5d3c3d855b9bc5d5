/** Warnings about the choice of a device. */
export function warn(line: string): void {
  process.emitWarning(`cosmos-embed: ${line}`)
}
