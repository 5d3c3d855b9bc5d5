/** Whether the vectors of two runs belong into one index. */
import { InvalidArgumentError } from '../errors.ts'
import type { IndexDescription } from './sink.ts'

/**
 * Of a destination that is existing, and of the run that wants to go on with it. Throws InvalidArgumentError, which names what
 * differs. `where` is the destination's name.
 */
export function agree(existing: IndexDescription, wanted: IndexDescription, where: string): void {
  const parts: [string, (description: IndexDescription) => unknown][] = [
    ['model', ({ model }) => `${model.id} with the fingerprint ${model.fingerprint}`],
    ['frame rule', ({ frameRule }) => frameRule],
    ['frame tolerance', ({ frameTolerance }) => `${frameTolerance} s`],
    ['windows', ({ windows }) => (windows ? `${windows.seconds} s every ${windows.stride} s` : 'none')],
  ]
  for (const [name, part] of parts) {
    if (part(existing) === part(wanted)) continue
    throw new InvalidArgumentError(
      `${where} holds other vectors: its ${name} is ${part(existing)}, and here it is ${part(wanted)}. Choose another destination`,
    )
  }
  for (const [name, type] of Object.entries(wanted.columns)) {
    const found = existing.columns[name]
    if (found === type) continue
    throw new InvalidArgumentError(
      `${where} has ${found === undefined ? `no column "${name}"` : `"${name}" as ${found}, and here it is ${type}`}: ` +
        'choose another destination, or leave the column out of the manifest',
    )
  }
}
