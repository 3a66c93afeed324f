/**
 * Numbers as a person reads them: always with a unit, never with more digits than they mean.
 * Bytes are decimal (1 kB = 1,000 bytes), as download dialogs and network speeds use them.
 */

const locale = 'en'

export const count = (value: number) => Math.round(value).toLocaleString(locale)

/** "one document", "3 documents"; irregular plurals are passed. */
export const counted = (value: number, noun: string, plural = `${noun}s`) =>
  `${count(value)} ${Math.round(value) === 1 ? noun : plural}`

export function bytes(value: number): string {
  if (value < 1000) return counted(value, 'byte')
  const units = ['kB', 'MB', 'GB', 'TB']
  let scaled = value / 1000
  let unit = 0
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000
    unit += 1
  }
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${units[unit]}`
}

export const bytesPerSecond = (value: number) => `${bytes(value)}/s`

/** A duration ahead or behind, in the largest unit that still says something. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–'
  if (seconds < 1) return 'under 1 s'
  if (seconds < 90) return `${Math.round(seconds)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 90) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return `${hours} h ${minutes % 60} min`
}

/** A loss in nats a token. Three decimals: differences below 0.001 mean nothing here. */
export const loss = (value: number) => value.toFixed(3)

/** A cosine, with a minus sign of a number's width and none before zero. */
export const cosine = (value: number) => {
  const digits = Math.abs(value).toFixed(2)
  return value < 0 && Number(digits) !== 0 ? `−${digits}` : digits
}

/** Three significant digits, for numbers of any size: 12.3, 0.00456. */
export const significant = (value: number) => String(Number(value.toPrecision(3)))

/** Speeds: two significant digits below ten, whole numbers above. */
export const rate = (value: number) => (value < 10 ? value.toFixed(1) : count(value))

export const percent = (fraction: number) => `${Math.round(fraction * 100)} %`

/** 1967808 -> "2.0 million". */
export function parameters(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} billion`
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} million`
  return count(value)
}

/** The device's words may begin in lower case; on the page they begin a line. */
export const capitalised = (words: string) => words.charAt(0).toUpperCase() + words.slice(1)

/** A digest is compared by its first and last characters; the whole is one click away. */
export const shortDigest = (digest: string) => `${digest.slice(0, 8)}…${digest.slice(-8)}`

export const clockTime = (time: number | string) =>
  new Date(time).toLocaleTimeString(locale, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  })

/** What a model wrote, to stand right after its prompt: an answer begins without the space that a continuation has. */
export const afterPrompt = (written: string) =>
  written === '' || /^\s/.test(written) ? written : ` ${written}`
