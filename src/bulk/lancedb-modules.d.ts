/**
 * The parts of LanceDB and Apache Arrow that this package uses. Both are optional and too large to be installed for every
 * developer (test/adapters/lancedb-install.ts), so that their own types may be missing.
 */
declare module '@lancedb/lancedb' {
  export function connect(uri: string): Promise<Connection>

  export interface Connection {
    tableNames(): Promise<string[]>
    createEmptyTable(name: string, schema: object): Promise<Table>
    openTable(name: string): Promise<Table>
    close(): void
  }

  export interface Table {
    schema(): Promise<{ metadata: Map<string, string> }>
    countRows(filter?: string): Promise<number>
    stats(): Promise<{ totalBytes: number; numRows: number; fragmentStats: { numFragments: number } }>
    query(): Query
    vectorSearch(vector: Float32Array): VectorQuery
    mergeInsert(on: string): MergeInsert
    close(): void
  }

  export interface Query extends AsyncIterable<RecordBatch> {
    select(columns: string[]): Query
    toArray(): Promise<Record<string, unknown>[]>
  }

  export interface RecordBatch {
    getChild(name: string): Iterable<unknown> | null
  }

  export interface VectorQuery {
    distanceType(type: 'dot'): VectorQuery
    limit(count: number): VectorQuery
    select(columns: string[]): VectorQuery
    toArray(): Promise<Record<string, unknown>[]>
  }

  export interface MergeInsert {
    whenMatchedUpdateAll(): MergeInsert
    whenNotMatchedInsertAll(): MergeInsert
    whenNotMatchedBySourceDelete(options: { where: string }): MergeInsert
    execute(rows: Record<string, unknown>[]): Promise<unknown>
  }
}

declare module 'apache-arrow' {
  export class DataType {}
  export class Utf8 extends DataType {}
  export class Int64 extends DataType {}
  export class Float32 extends DataType {}
  export class Float64 extends DataType {}
  export class Bool extends DataType {}
  export class List extends DataType {
    constructor(child: Field)
  }
  export class FixedSizeList extends DataType {
    constructor(size: number, child: Field)
  }
  export class Field {
    constructor(name: string, type: DataType, nullable: boolean)
  }
  export class Schema {
    constructor(fields: Field[], metadata: Map<string, string>)
  }
}
