/** A live room: who is in it, what came, what was merged, how good it is, and everything the host may do. */
import { useEffect } from 'preact/hooks'
import { ContributionsCard } from '../../components/host/contributions.tsx'
import { DeleteCard } from '../../components/host/delete-card.tsx'
import { EndCard } from '../../components/host/end-card.tsx'
import { ExportCard } from '../../components/host/export-card.tsx'
import { InviteCard } from '../../components/host/invite.tsx'
import { MergedPicturesCard } from '../../components/host/merged-pictures.tsx'
import { PeopleCard } from '../../components/host/people.tsx'
import { QualityCard } from '../../components/host/quality.tsx'
import { RehearsalCard } from '../../components/host/rehearsal-card.tsx'
import { RoomCounts } from '../../components/host/room-counts.tsx'
import { Screen } from '../../components/screen.tsx'
import { overview, roomDraws, roomGone, watching } from '../../state/host/host-store.ts'
import { watchRoom } from '../../state/host/watching.ts'
import { isRehearsal } from '../../state/relay-http.ts'
import { console as text } from '../../strings/host.ts'
import { PlaceLink } from './console.tsx'

export function RoomScreen({ room }: { readonly room: string }) {
  useEffect(() => watchRoom(room), [room])
  const seen = overview.value
  useEffect(() => {
    if (seen) document.title = `${seen.title || seen.room} · ${text.name}`
  }, [seen?.title, seen?.room])
  if (roomGone.value) {
    return (
      <Screen title={(seen?.room === room && seen.title) || room}>
        <p class="notice" role="alert" data-testid="host-gone">
          {text.roomGone}
        </p>
        <p>
          <PlaceLink to={{ view: 'home' }}>{text.rooms}</PlaceLink>
        </p>
      </Screen>
    )
  }
  if (seen?.room !== room) {
    return (
      <Screen title={room}>
        <p class="note">{text.reading}</p>
      </Screen>
    )
  }
  return (
    <Screen title={seen.title || seen.room}>
      <div role="status">
        {!watching.value && (
          <p class="notice notice-warm" data-testid="host-offline">
            {text.offline}
          </p>
        )}
        {isRehearsal(room) && <p class="notice">{text.rehearsalNotice}</p>}
        {seen.status.closed && (
          <p class="notice" data-testid="host-closed">
            {text.roomEnded}
          </p>
        )}
      </div>
      <RoomCounts />
      <div class="console-columns">
        <div class="console-column">
          <InviteCard />
          <PeopleCard />
          <ContributionsCard />
          <EndCard />
        </div>
        <div class="console-column">
          {roomDraws.value && <MergedPicturesCard />}
          <QualityCard />
          <RehearsalCard />
          <ExportCard />
          <DeleteCard />
        </div>
      </div>
    </Screen>
  )
}
