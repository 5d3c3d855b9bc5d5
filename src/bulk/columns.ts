/** The further columns of a manifest, which are carried over into the index. */
import { InvalidArgumentError } from '../errors.ts'

/** Type of a carried column. */
export type ColumnType = 'string' | 'int64' | 'double' | 'boolean'
/** Carried columns by name. */
export type Columns = Record<string, ColumnType>

/** A value that JSON can represent. An `int64` beyond 2^53 is a string of its digits. */
export type CarriedValue = string | number | boolean | null
/** Values of the carried columns of one row, by column name. */
export type Carried = Record<string, CarriedValue>

const reserved = ['id', 'item', 'uri', 'start', 'end', 'embedding', 'warnings']

/** Infers the column types, which must be known before the first row is written. */
export class ColumnSurvey {
  readonly #types = new Map<string, ColumnType | undefined>()

  /** Throws InvalidArgumentError for a column name that the index itself uses. */
  add(row: Readonly<Record<string, unknown>>): void {
    for (const [name, value] of Object.entries(row)) {
      if (reserved.includes(name)) {
        throw new InvalidArgumentError(
          `column "${name}" of the manifest has a name that the index itself uses: give it another one`,
        )
      }
      this.#types.set(name, widened(this.#types.get(name), typeOf(value)))
    }
  }

  /** The types so far. A column without any value is a string. */
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

/** Converts the values of a row to the types of the columns. A column that the row lacks becomes null. */
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
  // The replacer also converts bigints inside lists and records.
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}` : part))
}
