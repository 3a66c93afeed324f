/**
 * The picture: devices, relay, versions, and a square for every update, which moves where the room's record says it
 * went. Whoever prefers no motion sees the same squares in their places; whoever cannot see it hears the label.
 */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { roomStatus } from '../../state/store.ts'
import {
  events,
  ownDigest,
  play,
  playing,
  scene,
  shownEvents,
  showUntil,
  stopPlaying,
} from '../../state/what-happened/following.ts'
import {
  deviceAt,
  heightOf,
  NARROW,
  type Point,
  placesOf,
  type SceneUpdate,
  versionAt,
  WIDE,
} from '../../state/what-happened/scene.ts'
import { happened as text } from '../../strings/what-happened.ts'

/** Beyond these a picture says no more than a number. */
const MAX_SHOWN = 30

export function Picture() {
  const { updates, versions } = scene.value
  const isNarrow = useNarrow()
  const measures = isNarrow ? NARROW : WIDE
  const places = placesOf(scene.value, measures)
  const connected = roomStatus.value?.connected ?? 0
  const waiting = updates.filter(({ version, withdrawn }) => version === null && !withdrawn).length
  const withdrawn = updates.filter((update) => update.withdrawn).length
  const live = versions.filter(({ retired }) => !retired).length
  const total = events.value.length
  const shown = shownEvents.value ?? total
  return (
    <section class="card" aria-labelledby="picture-title">
      <h2 id="picture-title">{text.pictureTitle}</h2>
      <svg
        class="round-picture"
        data-testid="picture"
        viewBox={`0 0 ${measures.width} ${heightOf(Math.max(connected, updates.length), versions.length)}`}
        role="img"
        aria-label={text.pictureLabel(connected, waiting, live, withdrawn)}
      >
        <Place x={measures.devices} name={text.devices} note={isNarrow ? '' : text.devicesNote} />
        <Place x={measures.relay} name={text.relay} note={isNarrow ? '' : text.relayNote} />
        <Place x={measures.versions} name={text.versions} note={isNarrow ? '' : text.versionsNote} />
        <Way from={measures.devices} to={measures.relay} />
        <Way from={measures.relay} to={measures.versions} />
        {Array.from({ length: Math.min(MAX_SHOWN, Math.max(connected, updates.length)) }, (_, index) => {
          const { x, y } = deviceAt(index, measures)
          return <circle key={index} class="round-picture-device" cx={x} cy={y} r={7} />
        })}
        {versions.slice(0, 10).map(({ version, updates: size, retired }, row) => (
          <text
            key={version}
            class="round-picture-version"
            data-retired={retired}
            x={versionAt(row, measures).x + 14}
            y={versionAt(row, measures).y + 4}
          >
            {retired ? text.retired(version) : text.version(version, size)}
          </text>
        ))}
        {updates.slice(-MAX_SHOWN).map((update, index) => (
          <Square
            key={update.contribution}
            update={update}
            from={deviceAt(index, measures)}
            to={places.get(update.contribution) ?? deviceAt(index, measures)}
          />
        ))}
      </svg>
      <p class="note">
        {text.connected(connected)}
        {updates.length > MAX_SHOWN && `, ${text.more(updates.length - MAX_SHOWN)}`}.{' '}
        {ownDigest.value && text.ownNote}
      </p>
      {total > 0 && (
        <div class="field">
          <label class="note" for="moment">
            {text.timeLabel}
          </label>
          <input
            id="moment"
            class="slider"
            type="range"
            min={0}
            max={total}
            value={shown}
            aria-valuetext={text.timeWords(shown, total)}
            data-testid="moment"
            onInput={(event) => showUntil(event.currentTarget.valueAsNumber)}
          />
          <div class="actions">
            <button
              type="button"
              class="button button-small"
              data-testid="picture-play"
              onClick={() => (playing.value ? stopPlaying() : play())}
            >
              {playing.value ? text.stop : text.play}
            </button>
            {shownEvents.value !== null && !playing.value && (
              <button type="button" class="button button-small" onClick={() => showUntil(total)}>
                {text.now}
              </button>
            )}
            <span class="note" role="status">
              {text.timeWords(shown, total)}
            </span>
          </div>
        </div>
      )}
    </section>
  )
}

/** Between two columns' names; none where a phone leaves no room for it. */
function Way({ from, to }: { readonly from: number; readonly to: number }) {
  const gap = 84
  return to - from > 2 * gap ? (
    <line class="round-picture-way" x1={from + gap} y1={22} x2={to - gap} y2={22} />
  ) : null
}

/** Follows the window: a phone may be turned. */
function useNarrow(): boolean {
  const narrow = useSignal(false)
  useEffect(() => {
    const media = matchMedia('(max-width: 36rem)')
    const follow = () => {
      narrow.value = media.matches
    }
    follow()
    media.addEventListener('change', follow)
    return () => media.removeEventListener('change', follow)
  }, [narrow])
  return narrow.value
}

function Place({ x, name, note }: { readonly x: number; readonly name: string; readonly note: string }) {
  return (
    <>
      <text class="round-picture-place" x={x} y={26} text-anchor="middle">
        {name}
      </text>
      <text class="round-picture-note" x={x} y={46} text-anchor="middle">
        {note}
      </text>
    </>
  )
}

/** Begins at its device, and goes from place to place by the style sheet's transition. */
function Square({
  update,
  from,
  to,
}: {
  readonly update: SceneUpdate
  readonly from: Point
  readonly to: Point
}) {
  const begun = useSignal(false)
  useEffect(() => {
    const frame = requestAnimationFrame(() => {
      begun.value = true
    })
    return () => cancelAnimationFrame(frame)
  }, [begun])
  const { x, y } = begun.value ? to : from
  return (
    <rect
      class="round-picture-update"
      data-own={update.digest === ownDigest.value}
      data-withdrawn={update.withdrawn}
      data-testid="picture-update"
      data-where={update.withdrawn ? 'withdrawn' : update.version === null ? 'relay' : 'version'}
      width={13}
      height={13}
      x={-6.5}
      y={-6.5}
      rx={3}
      style={{ transform: `translate(${x}px, ${y}px)` }}
    />
  )
}
