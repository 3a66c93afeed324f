/** The relay's log as lines a host reads on a terminal; the relay itself writes JSON. */
import pino, { type Logger } from 'pino'

const LEVELS: Readonly<Record<number, string>> = { 40: 'warning: ', 50: 'error: ', 60: 'error: ' }

/** Fields that are pino's own, or said elsewhere in the line. */
const OMITTED = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'room', 'err'])

/** One log record: `14:03:11 spring: version published (version 1, contributions 3)`. */
export function formatRecord(record: Readonly<Record<string, unknown>>): string {
  const { time, level, room, msg, err } = record
  const at = new Date(typeof time === 'number' ? time : 0).toTimeString().slice(0, 8)
  const where = typeof room === 'string' ? `${room}: ` : ''
  const details = Object.entries(record)
    .filter(([key]) => !OMITTED.has(key))
    .map(([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
  const reason = (err as { message?: unknown } | undefined)?.message
  if (typeof reason === 'string') details.push(reason)
  const line = `${at} ${where}${LEVELS[Number(level)] ?? ''}${msg ?? ''}${details.length > 0 ? ` (${details.join(', ')})` : ''}`
  // What a stranger sent may stand in a message; it must not steer the terminal.
  return line.replace(/\p{Cc}/gu, ' ')
}

export function relayLog(write: (line: string) => void, level: 'info' | 'warn' = 'info'): Logger {
  return pino({ level, base: undefined }, { write: (line: string) => write(formatRecord(JSON.parse(line))) })
}
