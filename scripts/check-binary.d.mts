/** What one ELF file breaks of the promises in docs/packaging.md, and a line about it. */
export function checkFile(
  file: string,
  options: { arch: string; siblings: readonly string[] },
): { problems: string[]; line: string }

/** What a file of ours lacks of the checks that end a process whose memory is damaged. */
export function hardening(file: string): string[]

/** The same of a whole prebuilds/linux-<arch>, and what its build.json says of it. */
export function checkFolder(folder: string, options?: { say?: (line: string) => void }): string[]
/** The newest version of each family of symbol versions that a system of glibc 2.28 has. */
export const ceilings: Record<string, string>
/** Of dotted numbers: negative where `a` is the older. */
export function compare(a: string, b: string): number
