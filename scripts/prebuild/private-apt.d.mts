/** apt-get with lists and a cache of its own, in `folder`. `suite`: another release, `updates`: with its updates; `arch`: another machine's. */
export function privateApt(
  folder: string,
  options: { type: 'deb' | 'deb-src'; suite?: string; updates?: boolean; arch?: string },
): {
  update(): string
  sourceVersions(name: string): { version: string; files: Record<string, string> }[]
  downloadSource(spec: string, cwd: string): string
  download(name: string, cwd: string): string
}
