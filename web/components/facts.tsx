/** Names and values: a table of facts on a wide screen, one below the other on a phone. */
import type { ComponentChildren } from 'preact'

export function Facts({ children }: { readonly children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>
}

interface FactProps {
  readonly name: string
  readonly testId?: string
  readonly children: ComponentChildren
}

export function Fact({ name, testId, children }: FactProps) {
  return (
    <>
      <dt class="facts-term">{name}</dt>
      <dd class="facts-value" data-testid={testId}>
        {children}
      </dd>
    </>
  )
}

interface NumberProps {
  readonly name: string
  readonly value: string
  readonly unit?: string
  readonly testId?: string
}

/** One large number with its name below. */
export function BigNumber({ name, value, unit, testId }: NumberProps) {
  return (
    <div class="number">
      <dt class="number-name">{name}</dt>
      <dd class="number-value">
        <span data-testid={testId}>{value}</span>
        {unit && <span class="number-unit"> {unit}</span>}
      </dd>
    </div>
  )
}
