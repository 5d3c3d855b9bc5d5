/** Writes and reads Parquet files with hyparquet-writer and hyparquet. */
import type { KeyValue, SchemaElement } from 'hyparquet'
import type { ColumnSource } from 'hyparquet-writer'
import { VERSION } from '../base/version.ts'
import type { ColumnType } from './columns.ts'
import { importPeer } from './files.ts'
import type { IndexDescription, IndexedItem, IndexRow } from './sink.ts'

/** Rows of a row group, which is encoded before yielding to the event loop. */
const GROUP = 1000

/** Loads the writer. Rejects with InvalidArgumentError if it is not installed. */
export function loadWriter(): Promise<typeof import('hyparquet-writer')> {
  return importPeer('hyparquet-writer', 'a folder of Parquet parts', () => import('hyparquet-writer'))
}

/** Loads the reader and its decompressors. Rejects with InvalidArgumentError if one is not installed. */
export async function loadReader(): Promise<
  typeof import('hyparquet') & Pick<typeof import('hyparquet-compressors'), 'compressors'>
> {
  const need = 'reading Parquet'
  const reader = await importPeer('hyparquet', need, () => import('hyparquet'))
  const { compressors } = await importPeer(
    'hyparquet-compressors',
    need,
    () => import('hyparquet-compressors'),
  )
  return { ...reader, compressors }
}

interface Row extends IndexRow {
  item: string
}

interface Column {
  name: string
  schema: SchemaElement[]
  value: (row: Row) => unknown
  options?: Partial<ColumnSource>
}

const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } } as const
const optional = 'OPTIONAL' as const
const required = 'REQUIRED' as const

const list = (name: string, element: object): SchemaElement[] => [
  {
    name,
    repetition_type: required,
    num_children: 1,
    converted_type: 'LIST',
    logical_type: { type: 'LIST' },
  },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', repetition_type: required, ...element },
]

const types: Record<ColumnType, object> = {
  string: text,
  int64: { type: 'INT64' },
  double: { type: 'DOUBLE' },
  boolean: { type: 'BOOLEAN' },
}

function columnsOf({ windows, columns }: IndexDescription): Column[] {
  return [
    { name: 'id', schema: [{ name: 'id', ...text, repetition_type: required }], value: ({ id }) => id },
    ...(windows
      ? [
          {
            name: 'item',
            schema: [{ name: 'item', ...text, repetition_type: required }],
            value: ({ item }: Row) => item,
          },
        ]
      : []),
    { name: 'uri', schema: [{ name: 'uri', ...text, repetition_type: optional }], value: ({ uri }) => uri },
    ...(['start', 'end'] as const).map(
      (name): Column => ({
        name,
        schema: [{ name, type: 'DOUBLE', repetition_type: optional }],
        value: (row) => row[name],
      }),
    ),
    {
      name: 'embedding',
      schema: list('embedding', { type: 'FLOAT' }),
      value: ({ embedding }) => Array.from(embedding),
      // Vectors do not compress, and their minimum and maximum are useless.
      options: { encoding: 'PLAIN', codec: 'UNCOMPRESSED', statistics: false },
    },
    { name: 'warnings', schema: list('warnings', text), value: ({ warnings }) => warnings },
    ...Object.entries(columns).map(
      ([name, type]): Column => ({
        name,
        schema: [{ name, ...types[type], repetition_type: optional }],
        value: ({ carried }) => {
          const value = carried[name] ?? null
          return type === 'int64' && value !== null ? BigInt(value) : value
        },
      }),
    ),
  ]
}

/** Encodes the rows of `items` as a Parquet file. */
export async function encodePart(
  items: readonly IndexedItem[],
  description: IndexDescription,
): Promise<Uint8Array> {
  const { ByteWriter, ParquetWriter } = await loadWriter()
  const columns = columnsOf(description)
  const writer = new ByteWriter()
  const part = new ParquetWriter({
    writer,
    schema: [{ name: 'schema', num_children: columns.length }, ...columns.flatMap(({ schema }) => schema)],
    createdBy: `cosmos-embed ${VERSION}`,
    kvMetadata: metadataOf(description),
  })
  const rows = items.flatMap((item) => item.rows.map((row): Row => ({ ...row, item: item.id })))
  for (let from = 0; from < rows.length; from += GROUP) {
    const group = rows.slice(from, from + GROUP)
    const columnData = columns.map(({ name, value, options }) => ({
      name,
      data: group.map(value),
      ...options,
    }))
    await part.write({ columnData, rowGroupSize: GROUP })
    await new Promise((resolve) => setImmediate(resolve))
  }
  await part.finish()
  return writer.getBytes()
}

function metadataOf({ version, model, frameRule, ...rest }: IndexDescription): KeyValue[] {
  const known = {
    model: model.id,
    fingerprint: model.fingerprint,
    embedding_dim: model.embeddingDim,
    frame_rule: frameRule,
    frame_tolerance: rest.frameTolerance,
    windows: JSON.stringify(rest.windows),
    version,
  }
  return Object.entries(known).map(([key, value]) => ({ key: `cosmos_embed.${key}`, value: `${value}` }))
}

/** Yields the rows of any Parquet file, reading one row group at a time. `columns`: default all. */
export async function* readRows(
  file: string,
  columns?: string[],
): AsyncGenerator<Record<string, unknown>, void, undefined> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, compressors } = await loadReader()
  const buffer = await asyncBufferFromFile(file)
  const metadata = await parquetMetadataAsync(buffer)
  let rowStart = 0
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows)
    yield* await parquetReadObjects({
      file: buffer,
      metadata,
      compressors,
      rowStart,
      rowEnd,
      ...(columns && { columns }),
    })
    rowStart = rowEnd
  }
}
