/**
 * How hard training drives the device. Gentle: after each stretch of work a rest as long, so that the processor
 * or GPU is busy half of the time, stays cooler and spends the battery half as fast, and everything else on the
 * machine has room.
 */
export type Pace = 'full' | 'gentle'

/** Seconds of rest for each second of work. */
const REST_RATIO: Readonly<Record<Pace, number>> = { full: 0, gentle: 1 }

/** After a long step (a slow processor) the rest is not worth waiting out to the end. */
const LONGEST_REST_MS = 5000

export const restMs = (pace: Pace, workMs: number): number =>
  Math.min(workMs * REST_RATIO[pace], LONGEST_REST_MS)

/** Time left as a clock on the wall will show it. */
export const wallSeconds = (pace: Pace, workSeconds: number): number => workSeconds * (1 + REST_RATIO[pace])
