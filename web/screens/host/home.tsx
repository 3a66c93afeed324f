/** All rooms of this relay, the last opened first, rehearsals apart from the others, and the way to a new one. */
import { useEffect } from 'preact/hooks'
import { Ask } from '../../components/host/ask.tsx'
import { HostKeyCard } from '../../components/host/host-key-card.tsx'
import { Screen } from '../../components/screen.tsx'
import { deleteRooms, loadRooms } from '../../state/host/acting.ts'
import type { RoomInList } from '../../state/host/host-http.ts'
import { roomList, working } from '../../state/host/host-store.ts'
import { isRehearsal } from '../../state/relay-http.ts'
import { console as text } from '../../strings/host.ts'
import { PlaceLink } from './console.tsx'

export function HomeScreen() {
  useEffect(() => {
    void loadRooms()
  }, [])
  const rooms = roomList.value
  const newest = rooms?.toReversed() ?? []
  const rehearsals = newest.filter(({ room }) => isRehearsal(room))
  return (
    <Screen title={text.homeTitle} lead={text.homeLead}>
      <div class="actions">
        <PlaceLink class="button button-primary" to={{ view: 'new' }} testId="host-new">
          {text.homeOpen}
        </PlaceLink>
      </div>
      {rooms?.length === 0 && <p class="notice">{text.homeNone}</p>}
      <Rooms rooms={newest.filter(({ room }) => !isRehearsal(room))} Heading="h2" />
      {rehearsals.length > 0 && (
        <section class="host-rehearsals" aria-labelledby="rehearsals-title">
          <div class="screen-head">
            <h2 id="rehearsals-title">{text.rehearsalsTitle}</h2>
            <p class="note">{text.rehearsalsLead}</p>
          </div>
          <Rooms rooms={rehearsals} Heading="h3" />
          <div class="actions">
            <Ask
              small
              name={text.rehearsalsDelete(rehearsals.length)}
              question={text.rehearsalsQuestion(rehearsals.length)}
              yes={text.rehearsalsDelete(rehearsals.length)}
              testId="host-rehearsals-delete"
              onYes={() => deleteRooms(rehearsals)}
            />
            <span class="note" role="status">
              {working.value === 'delete' && text.deleting}
            </span>
          </div>
        </section>
      )}
      <HostKeyCard />
    </Screen>
  )
}

function Rooms({ rooms, Heading }: { readonly rooms: readonly RoomInList[]; readonly Heading: 'h2' | 'h3' }) {
  if (rooms.length === 0) return null
  return (
    <ul class="host-rooms">
      {rooms.map((room) => (
        <Room key={room.room} room={room} Heading={Heading} />
      ))}
    </ul>
  )
}

function Room({ room, Heading }: { readonly room: RoomInList; readonly Heading: 'h2' | 'h3' }) {
  return (
    <li class="card host-room">
      <Heading>
        <PlaceLink to={{ view: 'room', room: room.room }} testId={`host-room-${room.room}`}>
          {room.title || room.room}
        </PlaceLink>
      </Heading>
      <p class="note host-room-facts">
        <span class="host-stage" data-stage={room.closed ? 'closed' : 'sent'}>
          {room.closed ? text.stateClosed : text.stateOpen}
        </span>
        {text.homeFacts(room.connected, room.contributions, room.versions).map((fact) => (
          <span key={fact}>{fact}</span>
        ))}
      </p>
    </li>
  )
}
