/** The host's console: asks for the token where there is none, then shows the rooms, a room, or the projector. */
import { useEffect } from 'preact/hooks'
import { Mark } from '../../components/mark.tsx'
import { ProblemBanner } from '../../components/problem.tsx'
import { loadRooms } from '../../state/host/acting.ts'
import { overview } from '../../state/host/host-store.ts'
import { addressOf, go, type Place, place } from '../../state/host/place.ts'
import { forgetToken, token } from '../../state/host/token.ts'
import { announcement } from '../../state/store.ts'
import { console as text } from '../../strings/host.ts'
import { HomeScreen } from './home.tsx'
import { OpenRoomScreen } from './open-room.tsx'
import { ProjectorScreen } from './projector.tsx'
import { RoomScreen } from './room.tsx'
import { TokenScreen } from './token.tsx'
import '../../styles/host.css'
import '../../styles/projector.css'

export function Console() {
  const known = token.value
  const at = place.value
  useEffect(() => {
    if (known !== null) void loadRooms()
  }, [known])
  if (known !== null && at.view === 'projector') return <ProjectorScreen key={at.room} room={at.room} />
  return (
    <div class="page console" data-testid="console" data-view={known === null ? 'token' : at.view}>
      <a class="skip" href="#main">
        {text.skip}
      </a>
      <header class="header">
        <Mark />
        <span class="header-name">{text.name}</span>
        {known !== null && (
          <nav class="console-nav" aria-label={text.name}>
            <PlaceLink to={{ view: 'home' }} current={at.view === 'home'}>
              {text.rooms}
            </PlaceLink>
          </nav>
        )}
        {at.view === 'room' && known !== null && <span class="header-room">{overview.value?.title}</span>}
      </header>
      <main class="main" id="main">
        <ProblemBanner />
        {known === null ? <TokenScreen /> : <At place={at} />}
      </main>
      <footer class="footer">
        <p>{text.footer}</p>
        {known !== null && (
          <p>
            <button type="button" class="link" data-testid="host-forget" onClick={forgetToken}>
              {text.signOut}
            </button>
          </p>
        )}
      </footer>
      <p class="visually-hidden" role="status">
        {announcement.value}
      </p>
    </div>
  )
}

function At({ place: at }: { readonly place: Place }) {
  switch (at.view) {
    case 'home':
      return <HomeScreen key="home" />
    case 'new':
      return <OpenRoomScreen key="new" />
    case 'room':
      return <RoomScreen key={at.room} room={at.room} />
    case 'projector':
      return null
    default: {
      const never: never = at
      return never
    }
  }
}

interface PlaceLinkProps {
  readonly to: Place
  readonly current?: boolean
  readonly class?: string
  readonly testId?: string
  readonly children: string
}

/** A true link, so that it can be opened in another tab; here it moves without a reload. */
export function PlaceLink({ to, current, class: classes, testId, children }: PlaceLinkProps) {
  return (
    <a
      class={classes}
      href={addressOf(to)}
      aria-current={current ? 'page' : undefined}
      data-testid={testId}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return
        event.preventDefault()
        go(to)
      }}
    >
      {children}
    </a>
  )
}
