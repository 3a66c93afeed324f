/**
 * Tabs as keyboards and screen readers know them (WAI-ARIA's pattern with automatic activation): one stop for
 * the Tab key, arrows between them. https://www.w3.org/WAI/ARIA/apg/patterns/tabs/
 */
import type { ComponentChildren } from 'preact'
import { useRef } from 'preact/hooks'

interface TabsProps<Id extends string> {
  readonly label: string
  readonly tabs: readonly { readonly id: Id; readonly name: string }[]
  readonly current: Id
  readonly onChange: (id: Id) => void
  /** The current tab's panel. */
  readonly children: ComponentChildren
}

export function Tabs<Id extends string>({ label, tabs, current, onChange, children }: TabsProps<Id>) {
  const list = useRef<HTMLDivElement>(null)
  const go = (position: number) => {
    const index = (position + tabs.length) % tabs.length
    onChange(tabs[index].id)
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[index]?.focus()
  }
  return (
    <div class="tabs">
      <div class="tabs-list" role="tablist" aria-label={label} ref={list}>
        {tabs.map(({ id, name }, index) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`tab-${id}`}
            class="tabs-tab"
            aria-selected={id === current}
            aria-controls="tab-panel"
            tabIndex={id === current ? 0 : -1}
            data-testid={`tab-${id}`}
            onClick={() => onChange(id)}
            onKeyDown={(event) => {
              const steps: Readonly<Record<string, number>> = {
                ArrowRight: index + 1,
                ArrowLeft: index - 1,
                Home: 0,
                End: tabs.length - 1,
              }
              if (!Object.hasOwn(steps, event.key)) return
              event.preventDefault()
              go(steps[event.key])
            }}
          >
            {name}
          </button>
        ))}
      </div>
      <div class="tabs-panel" role="tabpanel" id="tab-panel" aria-labelledby={`tab-${current}`}>
        {children}
      </div>
    </div>
  )
}
