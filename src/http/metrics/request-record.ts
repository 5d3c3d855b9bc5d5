/** Records what metrics need to know about one request that embeds. */
import type { InputType } from '../parse-body.ts'

/** One request that has been answered. */
export interface RequestRecord {
  /** `unknown` when the body was refused before its type was known. */
  requestType: string
  inputType: InputType | undefined
  encodingFormat: string | undefined
  status: number
  /** Error code; undefined when the request succeeded. */
  error: string | undefined
  seconds: number
  inputs: number
  embeddings: number
  tokens: number
  videos: number
  frames: number
}

export type RequestOutcome = Pick<RequestRecord, 'status' | 'error'> &
  Partial<Pick<RequestRecord, 'embeddings' | 'tokens' | 'videos' | 'frames'>>

/** Follows one request from its first byte to its response. */
export class RequestRecorder {
  readonly #started = performance.now()
  readonly #inFlight: Map<string, number>
  readonly #onEnd: (record: RequestRecord) => void
  #requestType = 'unknown'
  #facts: Partial<Pick<RequestRecord, 'inputType' | 'encodingFormat' | 'inputs'>> = {}

  /** Counts the request in `inFlight`, by request type, until it ends. */
  constructor(inFlight: Map<string, number>, onEnd: (record: RequestRecord) => void) {
    this.#inFlight = inFlight
    this.#onEnd = onEnd
    this.#count(1)
  }

  /** Called once the body is parsed. */
  describe(
    requestType: string,
    facts: { inputType: InputType | undefined; encodingFormat: string; inputs: number },
  ): void {
    this.#count(-1)
    this.#requestType = requestType
    this.#facts = facts
    this.#count(1)
  }

  end(outcome: RequestOutcome): void {
    this.#count(-1)
    this.#onEnd({
      requestType: this.#requestType,
      inputType: this.#facts.inputType,
      encodingFormat: this.#facts.encodingFormat,
      inputs: this.#facts.inputs ?? 0,
      seconds: (performance.now() - this.#started) / 1000,
      embeddings: 0,
      tokens: 0,
      videos: 0,
      frames: 0,
      ...outcome,
    })
  }

  #count(change: number): void {
    this.#inFlight.set(this.#requestType, (this.#inFlight.get(this.#requestType) ?? 0) + change)
  }
}
