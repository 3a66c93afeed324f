/**
 * `window.oneround`: what ran here and what left, for tests and for the demo. Read-only: nothing in the page
 * listens to it, and no text of the person is in it.
 */
import { signal } from '@preact/signals'
import type { Counters } from '../worker/api.ts'
import { device, measured, outcome, trainReport } from './store.ts'
import { wireEntries } from './wire.ts'

export const counters = signal<Counters>({ planDispatches: 0, tfjsOps: 0 })

const readOnly = {
  get backend() {
    return device.peek()?.backend ?? null
  },
  get executor() {
    return device.peek()?.executor ?? null
  },
  get device() {
    return device.peek()?.device ?? null
  },
  get software() {
    return device.peek()?.software ?? null
  },
  get float16() {
    return device.peek()?.float16 ?? null
  },
  get planDispatches() {
    return counters.peek().planDispatches
  },
  get tfjsOps() {
    return counters.peek().tfjsOps
  },
  get wire() {
    return wireEntries()
      .filter((entry) => !entry.earlier)
      .map(({ direction, event, bytes, time }) => ({
        direction,
        event,
        bytes,
        at: Math.round(time - performance.timeOrigin),
      }))
  },
  get bytesSent() {
    return this.wire.reduce((sum, entry) => sum + (entry.direction === 'out' ? entry.bytes : 0), 0)
  },
  get tokensPerSecond() {
    return outcome.peek()?.tokensPerSecond ?? trainReport.peek()?.tokensPerSecond ?? null
  },
  get steps() {
    return outcome.peek()?.steps ?? trainReport.peek()?.step ?? 0
  },
  get loss() {
    return {
      base: measured.base.peek().loss,
      own: measured.own.peek().loss,
      merged: measured.merged.peek().loss,
    }
  },
}

export type Diagnostics = typeof readOnly

declare global {
  interface Window {
    readonly oneround: Diagnostics
  }
}

export function exposeDiagnostics(): void {
  Object.defineProperty(window, 'oneround', { value: Object.freeze(readOnly) })
}
