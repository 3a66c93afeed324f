/** setTimeout takes 31 bits; longer waits fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1
