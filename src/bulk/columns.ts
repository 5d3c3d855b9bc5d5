/** The further columns of a manifest, which are carried along into the index. */
import { InvalidArgumentError } from '../errors.ts'

export type ColumnType = 'string' | 'int64' | 'double' | 'boolean'
export type Columns = Record<string, ColumnType>

/** JSON has it all; a whole number beyond 2^53 is its digits. */
export type CarriedValue = string | number | boolean | null
export type Carried = Record<string, CarriedValue>

const own = ['id', 'item', 'uri', 'start', 'end', 'embedding', 'warnings']

/** Finds out the types, which have to be known before the first row is written. */
export class ColumnSurvey {
  readonly #types = new Map<string, ColumnType | undefined>()

  /** Throws InvalidArgumentError for a name that the index itself needs. */
  add(row: Readonly<Record<string, unknown>>): void {
    for (const [name, value] of Object.entries(row)) {
      if (own.includes(name)) {
        throw new InvalidArgumentError(
          `column "${name}" of the manifest is one that the index makes itself: give it another name`,
        )
      }
      this.#types.set(name, widened(this.#types.get(name), typeOf(value)))
    }
  }

  /** A column in which there is nothing is text. */
  columns(): Columns {
    return Object.fromEntries([...this.#types].map(([name, type]) => [name, type ?? 'string']))
  }
}

function typeOf(value: unknown): ColumnType | undefined {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'boolean') return 'boolean'
  if (typeof value === 'bigint') return 'int64'
  if (typeof value === 'number') return Number.isSafeInteger(value) ? 'int64' : 'double'
  return 'string'
}

function widened(one: ColumnType | undefined, other: ColumnType | undefined): ColumnType | undefined {
  if (one === undefined || other === undefined || one === other) return one ?? other
  const isNumber = (type: ColumnType) => type === 'int64' || type === 'double'
  return isNumber(one) && isNumber(other) ? 'double' : 'string'
}

/** The values of a row, as the columns have them. A column that the row lacks is null. */
export function carry(row: Readonly<Record<string, unknown>>, columns: Columns): Carried {
  return Object.fromEntries(
    Object.entries(columns).map(([name, type]) => [
      name,
      converted(Object.hasOwn(row, name) ? row[name] : null, type),
    ]),
  )
}

function converted(value: unknown, type: ColumnType): CarriedValue {
  if (value === null || value === undefined) return null
  if (type === 'string') return textOf(value)
  if (typeof value === 'bigint') return type === 'int64' && !isSafe(value) ? `${value}` : Number(value)
  return value as number | boolean
}

function isSafe(value: bigint): boolean {
  return Number.isSafeInteger(Number(value))
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (value instanceof Date) return value.toISOString()
  // Bigints inside of lists and records too.
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}` : part))
}
