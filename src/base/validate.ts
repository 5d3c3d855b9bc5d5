/** Turns zod's issues into one sentence that names the field, what is expected and what was found. */
import type { z } from 'zod'
import { InvalidArgumentError, InvalidRequestError } from '../errors.ts'

type Issue = z.core.$ZodIssue

/** A JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A string that is not empty. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

export function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
}

/** Validates a request or a part of it. Throws InvalidRequestError; `field` is the path of the part. */
export function checkRequest<T>(schema: z.ZodType<T, unknown>, value: unknown, field: PropertyKey[] = []): T {
  const result = schema.safeParse(value, inPlainWords)
  if (result.success) return result.data
  const { message, path } = describeIssues(result.error.issues, field)
  const [name, item] = path
  throw new InvalidRequestError(message, {
    index: name === 'input' && typeof item === 'number' ? item : undefined,
    ...(name !== undefined && { details: { field: String(name) } }),
  })
}

const types: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  function: 'a function',
}

const parts: Readonly<Record<string, string>> = { string: 'characters', array: 'items', set: 'items' }

/** What is expected, for issues whose schema has no message of its own: zod's words speak of programs, not of values. */
function expectation(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${types[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`
    case 'too_small':
      if (issue.minimum === 1 && issue.origin in parts && !issue.exact) return 'must not be empty'
      return bound(issue, issue.inclusive ? 'at least' : 'more than', issue.minimum)
    case 'too_big':
      return bound(issue, issue.inclusive ? 'at most' : 'less than', issue.maximum)
    case 'invalid_union':
    case 'custom':
      return 'is not of an accepted form'
    default:
      return undefined
  }
}

/** For `safeParse` of every schema, so that describeIssues can say what was found and what is right. */
export const inPlainWords: { reportInput: true; error: typeof expectation } = {
  reportInput: true,
  error: expectation,
}

function bound(
  { origin, exact }: { origin: string; exact?: boolean | undefined },
  side: string,
  limit: number | bigint,
): string {
  const amount = `${exact ? 'exactly' : side} ${limit}`
  return origin in parts ? `must have ${amount} ${parts[origin]}` : `must be ${amount}`
}

/** Validates options and applies defaults; `what` names them in messages, e.g. "limits". Throws InvalidArgumentError. */
export function checkOptions<T>(schema: z.ZodType<T, unknown>, value: unknown, what: string): T {
  const result = schema.safeParse(value, inPlainWords)
  if (result.success) return result.data
  throw new InvalidArgumentError(describeIssues(result.error.issues, [what]).message)
}

/** Describes the first issue. For a union, describes the branch that the value most likely belongs to. */
export function describeIssues(
  issues: readonly Issue[],
  prefix: readonly PropertyKey[] = [],
): { message: string; path: PropertyKey[] } {
  const issue = issues[0]
  if (!issue) return { message: 'invalid value', path: [...prefix] }
  const path = [...prefix, ...issue.path]
  if (issue.code === 'invalid_union') {
    const branch = closestBranch(issue.errors)
    if (branch) return describeIssues(branch, path)
  }
  const message = `${pathName(path)}: ${sentence(issue)}`
  return issue.code === 'unrecognized_keys'
    ? { message, path: [...path, shortened(issue.keys[0])] }
    : { message, path }
}

function sentence(issue: Issue): string {
  if (issue.code === 'unrecognized_keys') return unknownFields(issue.keys)
  if (issue.code === 'too_small' && issue.origin === 'array') return issue.message
  const value = faultyValue(issue)
  return value === undefined ? 'is required' : `${issue.message}${foundValue(value)}`
}

/** Names at most five fields, shortened, so that a message never repeats a large input. */
function unknownFields(keys: readonly string[]): string {
  const some = keys.slice(0, 5).map((key) => `"${shortened(key)}"`)
  const more = keys.length - some.length
  return `unknown field ${some.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function shortened(key = ''): string {
  return key.length > 60 ? `${key.slice(0, 60)}…` : key
}

/** The value at fault. For a discriminated union zod reports the whole object instead of the discriminator. */
function faultyValue(issue: Issue): unknown {
  if (issue.code !== 'invalid_union' || !('discriminator' in issue)) return issue.input
  return (issue.input as Record<string, unknown>)[issue.discriminator as string]
}

/** Shows short names and numbers only, because texts, URLs and media must not appear in messages. */
function foundValue(value: unknown): string {
  if (typeof value === 'string') return /^[\w.*-]{0,60}$/.test(value) ? `, found "${value}"` : ''
  if (value === null) return ', found null'
  if (Array.isArray(value)) return ', found a list'
  return typeof value === 'number' || typeof value === 'boolean' ? `, found ${value}` : ''
}

function pathName(path: readonly PropertyKey[]): string {
  const name = path.reduce<string>((left, part) => {
    if (typeof part === 'number') return `${left}[${part}]`
    return left === '' ? String(part) : `${left}.${String(part)}`
  }, '')
  return name === '' ? 'the request' : name
}

/** The branch of the value's own type with the fewest and deepest issues; undefined when several qualify. */
function closestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const candidates = branches
    .filter((issues) => !issues.some(isOtherType))
    .map((issues) => ({ issues, depth: issues[0]?.path.length ?? 0 }))
    .sort((a, b) => a.issues.length - b.issues.length || b.depth - a.depth)
  const [best, second] = candidates
  const tie = second && best?.issues.length === second.issues.length && best.depth === second.depth
  return tie ? undefined : best?.issues
}

/** Whether the value itself, not one of its fields, has another type than the branch accepts. */
function isOtherType(issue: Issue): boolean {
  if (issue.path.length > 0) return false
  if (issue.code === 'invalid_union') return issue.errors.every((branch) => branch.some(isOtherType))
  return issue.code === 'invalid_type' || (issue.code === 'custom' && issue.params?.isType === true)
}
