/**
 * What a person may change of their update before it is sent, and what it then consists of. Clipping shrinks the
 * whole change to a length: all values by one factor, so that its direction stays.
 */
import type { AdapterChange } from '../../models/adapters/update-codec.ts'

/** L2 norm over all tensors together, summed in float64. */
export function changeNorm(change: AdapterChange): number {
  let squares = 0
  for (const values of change.values()) for (const value of values) squares += value * value
  return Math.sqrt(squares)
}

/** The same change where it is no longer than `longest`; null: whatever its length. */
export function clipChange(change: AdapterChange, longest: number | null): AdapterChange {
  const norm = changeNorm(change)
  if (longest === null || norm <= longest) return change
  const factor = longest / norm
  return new Map([...change].map(([name, values]) => [name, values.map((value) => value * factor)]))
}

export interface TensorSummary {
  readonly name: string
  readonly numbers: number
  readonly norm: number
  readonly largest: number
}

export function summarise(change: AdapterChange): TensorSummary[] {
  return Array.from(change, ([name, values]) => {
    let squares = 0
    let largest = 0
    for (const value of values) {
      squares += value * value
      largest = Math.max(largest, Math.abs(value))
    }
    return { name, numbers: values.length, norm: Math.sqrt(squares), largest }
  })
}
