/** What is wrong with a shared library for a process of `arch`, or undefined. Throws when it cannot be read. */
export function damage(file: string, arch?: string): string | undefined
