/** The end of all that a room holds. */
import { deleteRoom } from '../../state/host/acting.ts'
import { overview, working } from '../../state/host/host-store.ts'
import { console as text } from '../../strings/host.ts'
import { Ask } from './ask.tsx'

export function DeleteCard() {
  const seen = overview.value
  if (!seen) return null
  const { room, title, manifestDigest, status } = seen
  return (
    <section class="card" aria-labelledby="delete-title">
      <div class="screen-head">
        <h2 id="delete-title">{text.deleteTitle}</h2>
        <p class="note">{text.deleteLead}</p>
      </div>
      <div class="actions">
        <Ask
          name={text.delete}
          question={text.deleteQuestion(title || room, status.contributions, status.versions)}
          yes={text.deleteYes}
          testId="host-delete"
          onYes={() => deleteRoom(room, manifestDigest)}
        />
        <span class="note" role="status">
          {working.value === 'delete' && text.deleting}
        </span>
      </div>
    </section>
  )
}
