/** Who could reconstruct something of the text from the update, under this room's settings. */
import { exposures, isEncrypted } from '../state/exposure.ts'
import { manifest, roomStatus } from '../state/store.ts'
import { review as text } from '../strings/review.ts'

export function WhoCould() {
  const room = manifest.value
  if (!room) return null
  return (
    <section class="card" aria-labelledby="who-title">
      <h2 id="who-title">{text.whoTitle}</h2>
      <dl class="who">
        {exposures(room, isEncrypted(location), roomStatus.value?.privacy ?? null).map((exposure) => (
          <div key={exposure.to} data-testid={`who-${exposure.to}`}>
            <dt class="who-name">{text.whoNames[exposure.to]}</dt>
            <dd class={isOpen(exposure) ? 'notice notice-warm' : undefined}>{text.who(exposure)}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}

/** What a person would regret not having read. */
const isOpen = (exposure: ReturnType<typeof exposures>[number]): boolean =>
  (exposure.to === 'participants' && exposure.how === 'each') ||
  (exposure.to === 'others' && !exposure.encrypted)
