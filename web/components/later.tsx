/** A part of the page that is fetched when it is first shown; until then its place is empty. */
import { useSignal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { useEffect } from 'preact/hooks'
import { problem } from '../state/store.ts'
import { problems } from '../strings/problems.ts'

interface LaterProps<P> {
  readonly load: () => Promise<ComponentType<P>>
  readonly props: P
}

export function Later<P extends object>({ load, props }: LaterProps<P>) {
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
  return Loaded ? <Loaded {...props} /> : null
}
