/** Reads the vectors of a Parquet part quickly. */
import { type FileHandle, open } from 'node:fs/promises'
import type { ColumnChunk, FileMetaData } from 'hyparquet'
import { SourceError } from '../../errors.ts'
import { loadReader, readRows } from '../parquet.ts'

/**
 * Passes the vectors of a part to `add`, one row group after the other. `dimension` is the length of a vector. Rejects with
 * SourceError if a vector has another length.
 */
export async function readVectors(
  file: string,
  metadata: FileMetaData,
  dimension: number,
  add: (vectors: ArrayLike<number>) => void,
): Promise<void> {
  const chunks = metadata.row_groups.map(({ columns }) =>
    columns.find(({ meta_data }) => meta_data?.path_in_schema[0] === 'embedding'),
  )
  if (chunks.every(isPlain)) return readPlainVectors(file, metadata, chunks as ColumnChunk[], dimension, add)
  for await (const { embedding } of readRows(file, ['embedding'])) {
    const vector = embedding as number[]
    if (vector.length !== dimension) throw wrongLength(file, dimension)
    add(vector)
  }
}

/** Whether a column is stored as `parquetSink` does it: the floats as they are, without compression or a dictionary. */
function isPlain(chunk: ColumnChunk | undefined): boolean {
  const meta = chunk?.meta_data
  return (
    meta?.codec === 'UNCOMPRESSED' &&
    meta.type === 'FLOAT' &&
    meta.dictionary_page_offset === undefined &&
    meta.encodings.every((encoding) => encoding === 'PLAIN' || encoding === 'RLE')
  )
}

/**
 * Copies the floats of the pages. hyparquet builds an array for each vector, which takes twenty seconds for a million of
 * them, where this takes one.
 */
async function readPlainVectors(
  file: string,
  metadata: FileMetaData,
  chunks: readonly ColumnChunk[],
  dimension: number,
  add: (vectors: ArrayLike<number>) => void,
): Promise<void> {
  await loadReader()
  const { parquetHeader } = await import('hyparquet/src/column.js')
  const handle = await open(file)
  try {
    for (const [group, { meta_data }] of chunks.entries()) {
      if (!meta_data) throw wrongLength(file, dimension)
      const bytes = await readExactly(
        handle,
        file,
        Number(meta_data.data_page_offset),
        Number(meta_data.total_compressed_size),
      )
      const reader = { view: new DataView(bytes.buffer), offset: 0 }
      const vectors = new Float32Array(Number(metadata.row_groups[group]?.num_rows) * dimension)
      let floats = 0
      while (reader.offset < bytes.length) {
        const header = parquetHeader(reader)
        // Repetition and definition levels come first; they are the same for every vector.
        const count = (header.data_page_header ?? header.data_page_header_v2)?.num_values ?? 0
        const end = reader.offset + header.compressed_page_size
        if (end > bytes.length || 4 * count > header.compressed_page_size || floats + count > vectors.length)
          throw wrongLength(file, dimension)
        vectors.set(new Float32Array(bytes.slice(end - 4 * count, end).buffer), floats)
        floats += count
        reader.offset = end
      }
      if (floats !== vectors.length) throw wrongLength(file, dimension)
      add(vectors)
    }
  } finally {
    await handle.close()
  }
}

/** Reads bytes of a file. Rejects with SourceError if it ends before. */
export async function readExactly(
  handle: FileHandle,
  file: string,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length)
  for (let read = 0; read < length; ) {
    const { bytesRead } = await handle.read(bytes, read, length - read, position + read)
    if (bytesRead === 0) throw new SourceError(`${file}: the file is shorter than its metadata says`)
    read += bytesRead
  }
  return bytes
}

function wrongLength(file: string, dimension: number): SourceError {
  return new SourceError(`${file}: not every row has a vector of ${dimension} numbers`)
}
