/** A part of the page that is fetched when it is first shown. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren, ComponentType } from 'preact'
import { useEffect } from 'preact/hooks'
import { problem } from '../state/store.ts'
import { problems } from '../strings/problems.ts'

interface LaterProps<P> {
  readonly load: () => Promise<ComponentType<P>>
  readonly props: P
  /** What stands in its place until then, and where it does not come. */
  readonly meanwhile?: ComponentChildren
}

export function Later<P extends object>({ load, props, meanwhile = null }: LaterProps<P>) {
  const loaded = useSignal<ComponentType<P> | null>(null)
  useEffect(() => {
    load()
      .then((component) => {
        loaded.value = component
      })
      .catch((error) => {
        // Whether it did not come or did not start, only the browser can say.
        console.error(error)
        problem.value = { code: 'page/part-missing', message: problems.partMissing }
      })
  }, [load, loaded])
  const Loaded = loaded.value
  return Loaded ? <Loaded {...props} /> : meanwhile
}
