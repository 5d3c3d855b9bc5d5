/** What this process or its machine has run out of, which is no fault of the media or the host that was asked for. */

const shortages: Readonly<Record<string, string>> = {
  EMFILE: 'this process can open no more files (EMFILE); its limit is "ulimit -n"',
  ENFILE: 'the system can open no more files (ENFILE)',
  ENOMEM: 'the system has no more memory (ENOMEM)',
  ENOBUFS: 'the system has no more memory for connections (ENOBUFS)',
}

/** Why a system call failed if it was for want of something, else undefined. */
export function shortageOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code
  return code === undefined || !Object.hasOwn(shortages, code) ? undefined : shortages[code]
}
