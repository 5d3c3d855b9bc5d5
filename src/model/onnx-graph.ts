/** Reads from an ONNX graph what an engine build needs to know: inputs, types of the weights, and foreign operators. */
import { closeSync, openSync, readSync } from 'node:fs'
import { reasonOf } from '../base/located-file.ts'
import { ModelError } from '../errors.ts'

export interface OnnxInput {
  name: string
  /** -1 for a dimension that the graph leaves open. */
  dims: number[]
  isUint8: boolean
  /** Operators of the nodes that consume the input, e.g. "Cast". */
  consumers: Set<string>
}

export interface OnnxGraph {
  inputs: OnnxInput[]
  /** Number of weights by type, e.g. "fp16". */
  weights: Readonly<Record<string, number>>
  /** Operators that only ONNX Runtime has, e.g. "MatMulIntegerToFloat". */
  onnxRuntimeOps: ReadonlySet<string>
}

/** Numbers of TensorProto.DataType in onnx.proto. */
const UINT8 = 2
const onnxRuntimeDomain = 'com.microsoft'
const typeNames: Readonly<Record<number, string>> = {
  1: 'fp32',
  10: 'fp16',
  16: 'bf16',
  17: 'fp8',
  18: 'fp8',
  19: 'fp8',
  20: 'fp8',
}

/** Reads the structure and skips the weights, so it is fast for graphs of any size. Throws ModelError. */
export function readOnnxGraph(path: string): OnnxGraph {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (cause) {
    throw new ModelError(`graph ${path}: ${reasonOf(cause)}`, { cause })
  }
  try {
    return readModel(new ProtobufReader(file))
  } catch (cause) {
    throw new ModelError(`graph ${path} cannot be read as ONNX`, { cause })
  } finally {
    closeSync(file)
  }
}

function readModel(reader: ProtobufReader): OnnxGraph {
  for (const { number, end } of reader.fields(Number.POSITIVE_INFINITY)) {
    if (number === 7) return readGraph(reader, end)
  }
  throw new Error('no graph')
}

function readGraph(reader: ProtobufReader, graphEnd: number): OnnxGraph {
  const inputs: OnnxInput[] = []
  const weights: Record<string, number> = {}
  const initializers = new Set<string>()
  const consumers = new Map<string, Set<string>>()
  const onnxRuntimeOps = new Set<string>()
  for (const { number, end } of reader.fields(graphEnd)) {
    if (number === 11) inputs.push(readInput(reader, end))
    if (number === 1) {
      const { names, kind, domain } = readNode(reader, end)
      for (const name of names) consumers.set(name, (consumers.get(name) ?? new Set()).add(kind))
      if (domain === onnxRuntimeDomain) onnxRuntimeOps.add(kind)
    }
    if (number !== 5) continue
    const { name, type, count } = readTensor(reader, end)
    initializers.add(name)
    const typeName = typeNames[type]
    if (typeName !== undefined) weights[typeName] = (weights[typeName] ?? 0) + count
  }
  for (const input of inputs) input.consumers = consumers.get(input.name) ?? new Set()
  // Older graphs list their weights among the inputs.
  return { inputs: inputs.filter(({ name }) => !initializers.has(name)), weights, onnxRuntimeOps }
}

/** NodeProto { input = 1, op_type = 4, domain = 7 }. */
function readNode(reader: ProtobufReader, end: number) {
  const names: string[] = []
  let kind = ''
  let domain = ''
  for (const { number, end: fieldEnd } of reader.fields(end)) {
    if (number === 1) names.push(reader.text(fieldEnd))
    else if (number === 4) kind = reader.text(fieldEnd)
    else if (number === 7) domain = reader.text(fieldEnd)
  }
  return { names, kind, domain }
}

function readTensor(reader: ProtobufReader, end: number) {
  const tensor = { name: '', type: 0, count: 1 }
  for (const { number, value, end: fieldEnd } of reader.fields(end)) {
    if (number === 8) tensor.name = reader.text(fieldEnd)
    else if (number === 2) tensor.type = value
    else if (number === 1 && fieldEnd === 0) tensor.count *= value
    else if (number === 1) for (const dim of reader.packed(fieldEnd)) tensor.count *= dim
  }
  return tensor
}

/** ValueInfoProto { name = 1, type = 2 { tensor_type = 1 { elem_type = 1, shape = 2 { dim = 1 { dim_value = 1 } } } } } */
function readInput(reader: ProtobufReader, end: number): OnnxInput {
  const input: OnnxInput = { name: '', dims: [], isUint8: false, consumers: new Set() }
  for (const field of reader.fields(end)) {
    if (field.number === 1) input.name = reader.text(field.end)
    if (field.number !== 2) continue
    for (const tensor of reader.nested([1], field.end)) {
      for (const part of reader.fields(tensor.end)) {
        if (part.number === 1) input.isUint8 = part.value === UINT8
        if (part.number === 2) input.dims = readShape(reader, part.end)
      }
    }
  }
  return input
}

function readShape(reader: ProtobufReader, end: number): number[] {
  const dims: number[] = []
  for (const dim of reader.nested([1], end)) {
    let size = -1
    for (const { value } of reader.nested([1], dim.end)) size = value
    dims.push(size)
  }
  return dims
}

interface Field {
  number: number
  /** Value of a varint. */
  value: number
  /** File offset of the end of a message, string or bytes; 0 for other fields. */
  end: number
}

/** Reads Protocol Buffers from a file without loading it as a whole. */
class ProtobufReader {
  readonly #file: number
  readonly #buffer = Buffer.alloc(4096)
  #position = 0
  /** File offset and length of the buffer's contents. */
  #from = 0
  #length = 0

  constructor(file: number) {
    this.#file = file
  }

  /** Yields the fields up to `end`. Skips whatever the caller does not read of a field. */
  *fields(end: number): Generator<Field> {
    while (this.#position < end) {
      if (end === Number.POSITIVE_INFINITY && !this.#fill(1)) return
      const tag = this.#varint()
      const number = Math.floor(tag / 8)
      const kind = tag % 8
      if (kind === 0) yield { number, value: this.#varint(), end: 0 }
      else if (kind === 1) this.#position += 8
      else if (kind === 5) this.#position += 4
      else if (kind === 2) {
        const length = this.#varint()
        const fieldEnd = this.#position + length
        if (fieldEnd > end) throw new Error('a field extends beyond the end of its message')
        yield { number, value: 0, end: fieldEnd }
        this.#position = fieldEnd
      } else throw new Error(`wire type ${kind}`)
    }
  }

  /** Yields the fields at a path of field numbers through nested messages. */
  *nested([number, ...rest]: readonly number[], end: number): Generator<Field> {
    for (const field of this.fields(end)) {
      if (field.number !== number) continue
      if (rest.length === 0) yield field
      else yield* this.nested(rest, field.end)
    }
  }

  *packed(end: number): Generator<number> {
    while (this.#position < end) yield this.#varint()
  }

  text(end: number): string {
    const bytes = Array.from({ length: Math.min(end - this.#position, 4096) }, () => this.#byte())
    return Buffer.from(bytes).toString('utf8')
  }

  /** Exact up to 2^53. Negative values, ten bytes long, become huge numbers, which never match a valid size. */
  #varint(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte()
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
    throw new Error('a number is too long')
  }

  #byte(): number {
    if (!this.#fill(1)) throw new Error('the file ends too early')
    return this.#buffer[this.#position++ - this.#from] as number
  }

  #fill(wanted: number): boolean {
    const isHeld = this.#position >= this.#from && this.#position + wanted <= this.#from + this.#length
    if (isHeld) return true
    this.#from = this.#position
    this.#length = readSync(this.#file, this.#buffer, 0, this.#buffer.length, this.#position)
    return this.#length >= wanted
  }
}
