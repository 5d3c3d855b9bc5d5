/** What one ELF file breaks of the promises in docs/packaging.md, and a line about it. */
export function checkFile(
  file: string,
  options: { arch: string; siblings: readonly string[] },
): { problems: string[]; line: string }

/** The same of a whole prebuilds/linux-<arch>, and what its build.json says of it. */
export function checkFolder(folder: string, options?: { say?: (line: string) => void }): string[]
