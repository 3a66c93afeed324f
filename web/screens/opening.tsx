/** The moment before a room is known, and the list where a relay has several. */
import { Screen } from '../components/screen.tsx'
import { address, rooms } from '../state/store.ts'
import { opening, rooms as text } from '../strings.ts'

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
