/** The moment before a room is known, the list where a relay has several, and a room that could not be opened. */
import { Screen } from '../components/screen.tsx'
import type { Problem } from '../state/machine.ts'
import { openAgain } from '../state/opening.ts'
import { address, rooms } from '../state/store.ts'
import { opening, rooms as text } from '../strings/opening.ts'
import { problems } from '../strings/problems.ts'

export function OpeningScreen() {
  return (
    <Screen title={opening.title}>
      <p class="note">{opening.lookingFor(address.value.room)}</p>
    </Screen>
  )
}

export function RoomsScreen() {
  const list = rooms.value
  if (list.length === 0) return <Screen title={text.noneTitle} lead={text.none} />
  return (
    <Screen title={text.title} lead={text.lead}>
      <ul class="rooms">
        {list.map((entry) => (
          <li key={entry.room}>
            <a
              class="room"
              href={`/join/${encodeURIComponent(entry.room)}${location.search}`}
              data-testid={`room-${entry.room}`}
            >
              <span>{entry.title}</span>
              <span class="note">{entry.room}</span>
            </a>
          </li>
        ))}
      </ul>
    </Screen>
  )
}

/** Trying again does not help here; looking for the room may. */
const WRONG_LINKS: readonly string[] = ['page/no-such-address', 'room/unknown']

export function FailedScreen({ problem }: { readonly problem: Problem }) {
  return (
    <Screen title={problems.title}>
      <p class="notice notice-warm" role="alert" data-testid="error" data-code={problem.code}>
        {problem.message}
      </p>
      <div class="actions">
        <button
          type="button"
          class="button button-primary"
          data-testid="try-again"
          onClick={() => void openAgain()}
        >
          {problems.again}
        </button>
        {WRONG_LINKS.includes(problem.code) && (
          <a class="button" href="/" data-testid="all-rooms">
            {problems.allRooms}
          </a>
        )}
      </div>
    </Screen>
  )
}
