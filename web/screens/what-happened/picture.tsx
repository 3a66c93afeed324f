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
import { deviceAt, PICTURE, type Point, placesOf, type SceneUpdate } from '../../state/what-happened/scene.ts'
import { happened as text } from '../../strings/what-happened.ts'

/** Beyond these a picture says no more than a number. */
const MAX_SHOWN = 30

export function Picture() {
  const { updates, versions } = scene.value
  const places = placesOf(scene.value)
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
        class="picture"
        data-testid="picture"
        viewBox={`0 0 ${PICTURE.width} ${PICTURE.height}`}
        role="img"
        aria-label={text.pictureLabel(connected, waiting, live, withdrawn)}
      >
        <Place x={PICTURE.devices} name={text.devices} note={text.devicesNote} />
        <Place x={PICTURE.relay} name={text.relay} note={text.relayNote} />
        <Place x={PICTURE.versions} name={text.versions} note={text.versionsNote} />
        <line class="picture-way" x1={170} y1={40} x2={240} y2={40} />
        <line class="picture-way" x1={400} y1={40} x2={470} y2={40} />
        {Array.from({ length: Math.min(MAX_SHOWN, Math.max(connected, updates.length)) }, (_, index) => {
          const { x, y } = deviceAt(index)
          return <circle key={index} class="picture-device" cx={x} cy={y} r={7} />
        })}
        {versions.slice(0, 10).map(({ version, updates: size, retired }, row) => (
          <text
            key={version}
            class="picture-version"
            data-retired={retired}
            x={PICTURE.versions + 16}
            y={PICTURE.top + PICTURE.row * 1.6 * row + 4}
          >
            {retired ? text.retired(version) : text.version(version, size)}
          </text>
        ))}
        {updates.slice(-MAX_SHOWN).map((update, index) => (
          <Square
            key={update.contribution}
            update={update}
            from={deviceAt(index)}
            to={places.get(update.contribution) ?? deviceAt(index)}
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

function Place({ x, name, note }: { readonly x: number; readonly name: string; readonly note: string }) {
  return (
    <>
      <text class="picture-place" x={x} y={26} text-anchor="middle">
        {name}
      </text>
      <text class="picture-note" x={x} y={46} text-anchor="middle">
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
      class="picture-update"
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
