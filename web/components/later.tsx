/** A part of the page that is fetched when it is first shown; its place stays as it is until then. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren, ComponentType } from 'preact'
import { useEffect } from 'preact/hooks'
import { problem } from '../state/store.ts'
import { problems } from '../strings/problems.ts'

interface LaterProps<P> {
  readonly load: () => Promise<ComponentType<P>>
  readonly props: P
  /** Stands in its place meanwhile. */
  readonly children?: ComponentChildren
}

export function Later<P extends object>({ load, props, children }: LaterProps<P>) {
  const loaded = useSignal<ComponentType<P> | null>(null)
  useEffect(() => {
    load()
      .then((component) => {
        loaded.value = component
      })
      .catch(() => {
        problem.value = { code: 'page/part-missing', message: problems.partMissing }
      })
  }, [load, loaded])
  const Loaded = loaded.value
  return Loaded ? <Loaded {...props} /> : <>{children}</>
}
