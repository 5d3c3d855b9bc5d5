/** Decides whether the vectors of two runs belong in one index. */
import { InvalidArgumentError } from '../errors.ts'
import type { IndexDescription } from './sink.ts'

/** Describes how videos are divided, the same for what compares. */
export function describeWindows(windows: IndexDescription['windows']): string {
  if (!windows) return 'none'
  if (!('shots' in windows)) return `${windows.seconds} s every ${windows.stride} s`
  const { threshold, minSeconds } = windows.shots
  return `shots of at least ${minSeconds} s with a threshold of ${threshold}`
}

/**
 * Checks that a run may add to an existing index: that both have the same model, frame rule, frame tolerance and windows, and
 * that the index has every column of the run. Throws InvalidArgumentError that names the first difference.
 *
 * `where` names the destination in the message. Sinks call this in `open`.
 */
export function agree(existing: IndexDescription, wanted: IndexDescription, where: string): void {
  const parts: [string, (description: IndexDescription) => unknown][] = [
    ['model', ({ model }) => `${model.id} with the fingerprint ${model.fingerprint}`],
    ['frame rule', ({ frameRule }) => frameRule],
    ['frame tolerance', ({ frameTolerance }) => `${frameTolerance} s`],
    ['windows', ({ windows }) => describeWindows(windows)],
  ]
  for (const [name, part] of parts) {
    if (part(existing) === part(wanted)) continue
    throw new InvalidArgumentError(
      `${where} holds other vectors: its ${name} is ${part(existing)}, but this run has ${part(wanted)}. Choose another destination`,
    )
  }
  for (const [name, type] of Object.entries(wanted.columns)) {
    const found = existing.columns[name]
    if (found === type) continue
    throw new InvalidArgumentError(
      `${where} has ${found === undefined ? `no column "${name}"` : `"${name}" as ${found}, but this run has ${type}`}: ` +
        'choose another destination, or leave the column out of the manifest',
    )
  }
}
