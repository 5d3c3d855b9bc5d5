// A child process that answers JSON lines with JSON lines, one at a time. It is started again after a crash.

import { spawn } from 'node:child_process'
import process from 'node:process'
import { createInterface } from 'node:readline'

export class Worker {
  #command
  #args
  #seconds
  #greets
  #child
  #lines
  #said = ''
  /** The first line of a child that `greets`. */
  greeting

  /** `seconds` is the time limit of one answer. */
  constructor(command, args, { seconds, greets = false }) {
    this.#command = command
    this.#args = args
    this.#seconds = seconds
    this.#greets = greets
  }

  /** @returns the child's answer, or { ended: 'SIGABRT' | 'no answer in 60 s' | …, said } when the question ended it */
  async ask(question) {
    if (!this.#child) await this.#start()
    this.#child.stdin.write(`${JSON.stringify(question)}\n`)
    return await this.#answer()
  }

  async #start() {
    // The end of stderr is kept, because it is about the question that ended the child.
    this.#child = spawn(this.#command, this.#args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.on('error', () => {})
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.on('data', (chunk) => {
      this.#said = (this.#said + chunk).slice(-2000)
    })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    if (!this.#greets) return
    const greeting = await this.#answer()
    if (greeting.ended) throw new Error(`${this.#command} did not start: ${greeting.ended}\n${greeting.said}`)
    this.greeting = greeting
  }

  async #answer() {
    const child = this.#child
    let late = false
    const clock = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, this.#seconds * 1000)
    const { value, done } = await this.#lines.next()
    clearTimeout(clock)
    if (!done) return JSON.parse(value)
    this.#child = undefined
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('close', resolve))
    const said = this.#said.trim()
    this.#said = ''
    return {
      ended: late ? `no answer in ${this.#seconds} s` : (child.signalCode ?? `exit ${child.exitCode}`),
      said,
    }
  }

  close() {
    this.#child?.stdin.end()
    this.#child = undefined
  }
}

/** Runs `work` on every item, `width` at a time; it receives the item, the index of its lane, and the item's index. */
export async function inLanes(items, width, work) {
  let next = 0
  await Promise.all(
    Array.from({ length: Math.min(width, items.length) }, async (_, lane) => {
      while (next < items.length) {
        const index = next++
        await work(items[index], lane, index)
      }
    }),
  )
}

export const python = process.env.PYTHON ?? 'python3'
