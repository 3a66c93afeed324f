/** A step's frame: title, lead and content; the title takes the focus when the step changes. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

let firstScreen = true

interface ScreenProps {
  readonly title: string
  readonly lead?: ComponentChildren
  readonly eyebrow?: string
  readonly children?: ComponentChildren
}

export function Screen({ title, lead, eyebrow, children }: ScreenProps) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    // Not on arrival: a page that has just opened starts at its top, as every page does.
    if (!firstScreen) {
      heading.current?.focus({ preventScroll: true })
      window.scrollTo({ top: 0 })
    }
    firstScreen = false
  }, [])
  return (
    <section class="screen">
      <div class="screen-head">
        {eyebrow && <p class="eyebrow">{eyebrow}</p>}
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {lead && <p class="lead">{lead}</p>}
      </div>
      {children}
    </section>
  )
}
