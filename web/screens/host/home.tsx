/** All rooms of this relay, the newest last opened first, and the way to a new one. */
import { useEffect } from 'preact/hooks'
import { HostKeyCard } from '../../components/host/host-key-card.tsx'
import { Screen } from '../../components/screen.tsx'
import { loadRooms } from '../../state/host/acting.ts'
import type { RoomInList } from '../../state/host/host-http.ts'
import { roomList } from '../../state/host/host-store.ts'
import { console as text } from '../../strings/host.ts'
import { PlaceLink } from './console.tsx'

export function HomeScreen() {
  useEffect(() => {
    void loadRooms()
  }, [])
  const rooms = roomList.value
  return (
    <Screen title={text.homeTitle} lead={text.homeLead}>
      <div class="actions">
        <PlaceLink class="button button-primary" to={{ view: 'new' }} testId="host-new">
          {text.homeOpen}
        </PlaceLink>
      </div>
      {rooms?.length === 0 && <p class="notice">{text.homeNone}</p>}
      <ul class="host-rooms">
        {rooms?.toReversed().map((room) => (
          <Room key={room.room} room={room} />
        ))}
      </ul>
      <HostKeyCard />
    </Screen>
  )
}

function Room({ room }: { readonly room: RoomInList }) {
  return (
    <li class="card host-room">
      <h2>
        <PlaceLink to={{ view: 'room', room: room.room }} testId={`host-room-${room.room}`}>
          {room.title || room.room}
        </PlaceLink>
      </h2>
      <p class="note">
        {text.homeFacts(room.connected, room.contributions, room.versions)}
        {' · '}
        {room.closed ? text.stateClosed : text.stateOpen}
      </p>
    </li>
  )
}
