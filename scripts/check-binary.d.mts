/** The promises of docs/packaging.md that one ELF file breaks, and a line about the file. */
export function checkFile(
  file: string,
  options: { arch: string; siblings: readonly string[] },
): { problems: string[]; line: string }

/** The hardening that a file which we compiled lacks. */
export function hardening(file: string): string[]

/** The same for a whole prebuilds/linux-<arch>, checked against its build.json. */
export function checkFolder(folder: string, options?: { say?: (line: string) => void }): string[]
/** The newest version of each symbol family on a system with glibc 2.28. */
export const ceilings: Record<string, string>
/** Compares dotted version numbers: negative where `a` is older. */
export function compare(a: string, b: string): number
