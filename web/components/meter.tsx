/** A progress bar with its words above: what runs, how far it is, how long it takes. */
interface MeterProps {
  readonly label: string
  readonly words: string
  readonly detail?: string
  /** 0 to 1; null while it cannot be known. */
  readonly fraction: number | null
  readonly testId?: string
}

export function Meter({ label, words, detail, fraction, testId }: MeterProps) {
  return (
    <div class="meter">
      <div class="meter-words">
        <span>{words}</span>
        {detail && <span>{detail}</span>}
      </div>
      {fraction === null ? (
        <progress aria-label={label} data-testid={testId} />
      ) : (
        <progress aria-label={label} data-testid={testId} max={1} value={fraction} />
      )}
    </div>
  )
}
