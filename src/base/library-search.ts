/** Shared parts of the searches for shared libraries. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { LibraryError } from '../errors.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface NamedFile {
  /** Absolute. */
  path: string
  origin: 'option' | 'environment'
}

/**
 * The file that an option or an environment variable names; undefined when neither is set. Throws LibraryError when the file
 * does not exist, because an explicit choice must not fall back to another library.
 */
export function namedFile(
  path: string | undefined,
  {
    option,
    variable,
    expected,
    environment,
  }: { option: string; variable: string; expected: string; environment: Environment },
): NamedFile | undefined {
  const check = (file: string, origin: NamedFile['origin'], what: string): NamedFile => {
    if (isFile(file)) return { path: resolve(file), origin }
    throw new LibraryError(`${what} names ${file}, which is not a file: expected the path of ${expected}`, {
      details: { library: expected },
    })
  }
  if (path !== undefined) return check(path, 'option', `the option \`${option}\``)
  const fromEnvironment = environment[variable]
  return fromEnvironment ? check(fromEnvironment, 'environment', variable) : undefined
}

/** The beginning of the message for a library that was not found. The caller appends what to install. */
export function notFound(library: string, places: readonly string[]): string {
  return `${library} was not found. Looked at:\n${places.map((place) => `  ${place}`).join('\n')}\n`
}

/** Folders that the dynamic loader searches: LD_LIBRARY_PATH, /etc/ld.so.conf.d and its built-in folders. */
export function loaderFolders(environment: Environment): string[] {
  const triplets: Partial<Record<NodeJS.Architecture, string>> = {
    x64: 'x86_64-linux-gnu',
    arm64: 'aarch64-linux-gnu',
  }
  const triplet = triplets[process.arch]
  const builtIn = [
    '/usr/local/lib',
    ...(triplet ? [`/lib/${triplet}`, `/usr/lib/${triplet}`] : []),
    '/lib64',
    '/usr/lib64',
    '/lib',
    '/usr/lib',
  ]
  const fromVariable = environment.LD_LIBRARY_PATH?.split(':').filter((folder) => folder !== '') ?? []
  return [...new Set([...fromVariable, ...configuredFolders(), ...builtIn])]
}

function configuredFolders(): string[] {
  const folder = '/etc/ld.so.conf.d'
  try {
    return readdirSync(folder)
      .filter((file) => file.endsWith('.conf'))
      .sort()
      .flatMap((file) => readFileSync(join(folder, file), 'utf8').split('\n'))
      .map((line) => line.trim())
      .filter((line) => line.startsWith('/'))
  } catch {
    return []
  }
}

export function isFile(path: string): boolean {
  try {
    return statSync(path).isFile()
  } catch {
    return false
  }
}
