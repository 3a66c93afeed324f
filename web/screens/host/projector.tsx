/**
 * For the wall: the QR code, the address and the code, the counts and the loss, and nothing that could be pressed by
 * accident. Sized by the window, so that the last row can read it.
 */
import { useEffect, useRef } from 'preact/hooks'
import { LineChart } from '../../components/host/line-chart.tsx'
import { MergedPictures } from '../../components/host/merged-pictures.tsx'
import { QrCode } from '../../components/host/qr.tsx'
import { count } from '../../format.ts'
import { joinLink, overview, roomDraws, roomGone } from '../../state/host/host-store.ts'
import { baseLoss, measures, versionLosses } from '../../state/host/measuring.ts'
import { watchRoom } from '../../state/host/watching.ts'
import { console as text } from '../../strings/host.ts'
import { pictures } from '../../strings/pictures.ts'
import { PlaceLink } from './console.tsx'

export function ProjectorScreen({ room }: { readonly room: string }) {
  const screen = useRef<HTMLDivElement>(null)
  useEffect(() => watchRoom(room), [room])
  const seen = overview.value
  const link = joinLink.value
  const { joinable, closed } = seen && !roomGone.value ? seen.status : { joinable: false, closed: false }
  const { host, pathname } = new URL(link ?? location.href)
  const points = versionLosses.value
  return (
    <div class="projector" ref={screen} data-testid="projector" data-joinable={joinable}>
      <header class="projector-head">
        <h1>{seen?.title || room}</h1>
        <nav class="projector-nav">
          {document.fullscreenEnabled && (
            <button
              type="button"
              class="button button-small"
              data-testid="projector-full"
              onClick={() => {
                if (document.fullscreenElement) void document.exitFullscreen()
                else void screen.current?.requestFullscreen()
              }}
            >
              {text.projectorFull}
            </button>
          )}
          <PlaceLink class="button button-small" to={{ view: 'room', room }} testId="projector-back">
            {text.projectorBack}
          </PlaceLink>
        </nav>
      </header>
      <main class="projector-main" data-draws={roomDraws.value}>
        {joinable && link ? (
          <section class="projector-join" aria-label={text.projectorJoin}>
            <QrCode link={link} />
            <p class="projector-address">
              {host}
              <wbr />
              {pathname}
            </p>
            {seen?.joinCode && (
              <p class="projector-code">
                <span class="projector-code-name">{text.projectorCode}</span>
                <span>{seen.joinCode}</span>
              </p>
            )}
          </section>
        ) : (
          (seen || roomGone.value) && (
            <p class="projector-ended">
              {roomGone.value
                ? text.projectorGone
                : closed
                  ? text.projectorClosed
                  : text.projectorJoiningClosed}
            </p>
          )
        )}
        <section class="projector-side" aria-label={text.peopleTitle}>
          <dl class="projector-counts">
            <Count name={text.countIn} value={seen?.status.connected ?? 0} />
            <Count name={text.countSent} value={seen?.status.contributions ?? 0} />
            <Count name={text.countVersion} value={seen?.status.versions ?? 0} />
          </dl>
          {roomDraws.value && (
            <figure class="projector-chart">
              <figcaption>{pictures.hostTitle}</figcaption>
              <MergedPictures />
            </figure>
          )}
          {measures.value && (
            <figure class="projector-chart">
              <figcaption>{text.projectorLoss}</figcaption>
              <LineChart
                points={points.map(({ version, loss: y }) => ({ x: version, y }))}
                reference={baseLoss.value}
                whole
                xName={text.axisVersion}
                label={text.lossChartLabel(
                  points.map((one) => text.lossPointFacts(one.version, one.loss)).join(' '),
                )}
                empty={text.lossChartEmpty}
                testId="projector-loss-chart"
              />
            </figure>
          )}
        </section>
      </main>
    </div>
  )
}

function Count({ name, value }: { readonly name: string; readonly value: number }) {
  return (
    <div class="projector-count">
      <dt>{name}</dt>
      <dd>{count(value)}</dd>
    </div>
  )
}
