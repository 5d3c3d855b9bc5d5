/**
 * What is wrong with a shared library for a process of `arch` (default: this one's), e.g. "is cut short: 40 bytes", or
 * undefined. Throws when the file cannot be read.
 */
export function damage(file: string, arch?: string): string | undefined
