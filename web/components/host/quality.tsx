/** How good the merged model is on the host's own text or pictures: loss by version, and the scale at which it is least. */

import { useSignal } from '@preact/signals'
import { useRef } from 'preact/hooks'
import { loss } from '../../format.ts'
import { fromInput, PICTURES } from '../../state/dropped.ts'
import { saveScaledAdapter } from '../../state/host/exporting.ts'
import { hostManifest, newestVersion, roomDraws } from '../../state/host/host-store.ts'
import {
  baseLoss,
  choosePictures,
  chooseSample,
  chooseText,
  findScale,
  measures,
  measuringNow,
  scaleCurve,
  searched,
  stopScaleSearch,
  versionLosses,
} from '../../state/host/measuring.ts'
import { fetchSample, samplesFor } from '../../state/host/sample-data.ts'
import { preparing } from '../../state/host/worker-queue.ts'
import { nameOf } from '../../state/picture-files.ts'
import { sampleCredit } from '../../state/picture-samples.ts'
import { toProblem } from '../../state/problems.ts'
import { problem } from '../../state/store.ts'
import { console as text } from '../../strings/host.ts'
import { result } from '../../strings/result.ts'
import { Credit } from '../credit.tsx'
import { ACCEPT } from '../drop-zone.tsx'
import { BigNumber } from '../facts.tsx'
import { Meter } from '../meter.tsx'
import { ModelMeter } from '../model-meter.tsx'
import { LineChart } from './line-chart.tsx'

/** The page holds the file only until the worker has read it; a text to measure on need not be long. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024

export function QualityCard() {
  const changing = useSignal(false)
  const known = measures.value
  return (
    <section class="card" aria-labelledby="quality-title">
      <div class="screen-head">
        <h2 id="quality-title">{text.qualityTitle}</h2>
        <p class="note">{text.qualityLead}</p>
      </div>
      {known === null || changing.value ? (
        <DataChoice
          onChosen={() => {
            changing.value = false
          }}
        />
      ) : (
        <p class="note" data-testid="host-text">
          {text.dataFacts(known.files.map(({ name }) => name).join(', '), known.examples, known.counted)}{' '}
          <button
            type="button"
            class="link"
            onClick={() => {
              changing.value = true
            }}
          >
            {text.dataChange}
          </button>
        </p>
      )}
      {roomDraws.value && <Credit credit={sampleCredit} />}
      <Measuring />
      {known && (
        <>
          <LossNumbers />
          <LossChart />
          <Scale />
        </>
      )}
    </section>
  )
}

function DataChoice({ onChosen }: { readonly onChosen: () => void }) {
  const manifest = hostManifest.value
  const chosenId = useSignal('')
  const input = useRef<HTMLInputElement>(null)
  if (!manifest) return null
  const choices = samplesFor(manifest)
  const chosen = choices.find(({ id }) => id === chosenId.value) ?? choices[0]
  const takeSample = async () => {
    try {
      const bytes = await fetchSample(chosen)
      onChosen()
      await chooseSample(chosen, bytes)
    } catch (error) {
      problem.value = toProblem(error)
    }
  }
  const takeText = async (file: File | undefined) => {
    if (!file) return
    if (file.size > MAX_TEXT_BYTES) {
      problem.value = { code: 'data/too-large', message: text.textTooLarge(file.name, MAX_TEXT_BYTES) }
      return
    }
    onChosen()
    await chooseText([{ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) }])
  }
  const takePictures = async (list: FileList | null) => {
    const picked = fromInput(list, PICTURES)
    if (picked.files.length === 0) return
    onChosen()
    await choosePictures(nameOf(picked), picked.files)
  }
  const busy = measuringNow.value !== null
  return (
    <div class="host-text">
      <div class="field">
        <label class="field-label" for="host-sample">
          {text.dataSample}
        </label>
        <select
          class="input"
          id="host-sample"
          data-testid="host-sample"
          value={chosen.id}
          onChange={(event) => {
            chosenId.value = event.currentTarget.value
          }}
        >
          {choices.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <div class="actions">
        <button
          type="button"
          class="button"
          data-testid="host-measure"
          disabled={busy}
          onClick={() => void takeSample()}
        >
          {text.dataSampleChoose}
        </button>
        <input
          ref={input}
          class="visually-hidden"
          type="file"
          multiple={roomDraws.value}
          accept={roomDraws.value ? ACCEPT.pictures : ACCEPT.text}
          tabIndex={-1}
          aria-label={text.dataFile}
          data-testid="host-text-file"
          onChange={(event) => {
            const { files } = event.currentTarget
            void (roomDraws.value ? takePictures(files) : takeText(files?.[0]))
            event.currentTarget.value = ''
          }}
        />
        <button
          type="button"
          class="button button-quiet"
          disabled={busy}
          onClick={() => input.current?.click()}
        >
          {text.dataFile}
        </button>
      </div>
    </div>
  )
}

/** Its place is kept, so that nothing moves when a measurement begins or ends. */
function Measuring() {
  const now = measuringNow.value
  return (
    <div class="host-measuring" data-testid="host-measuring" data-what={now?.what}>
      {preparing.value ? (
        <ModelMeter />
      ) : now ? (
        <Meter
          label={text.measuringLabel}
          words={text.measuringWords(text.measuring[now.what], now.version)}
          detail={text.measuringFacts(now.fraction)}
          fraction={now.fraction}
        />
      ) : (
        measures.value && <p class="note">{text.measuredAll(versionLosses.value.length)}</p>
      )}
    </div>
  )
}

function LossNumbers() {
  const base = baseLoss.value
  const newest = versionLosses.value.at(-1)
  return (
    <dl class="numbers">
      <BigNumber name={text.lossBase} value={base === null ? '–' : loss(base)} testId="host-loss-base" />
      <BigNumber name={text.lossNow} value={newest ? loss(newest.loss) : '–'} testId="host-loss-newest" />
      <BigNumber
        name={text.lossChange}
        value={newest && base !== null ? result.change(newest.loss - base) : '–'}
      />
    </dl>
  )
}

export function LossChart() {
  const points = versionLosses.value
  return (
    <figure>
      <figcaption class="writing-name">{text.lossChartTitle}</figcaption>
      <LineChart
        points={points.map(({ version, loss: y }) => ({ x: version, y }))}
        reference={baseLoss.value}
        whole
        xName={text.axisVersion}
        label={text.lossChartLabel(points.map((one) => text.lossPointFacts(one.version, one.loss)).join(' '))}
        empty={text.lossChartEmpty}
        testId="host-loss-chart"
      />
    </figure>
  )
}

/** Losses nearer than this are the same to three decimals. */
const GAIN = 5e-4

function Scale() {
  const version = newestVersion.value
  if (!version) return null
  const curve = scaleCurve.value
  const now = measuringNow.value
  const searching = now?.what === 'scale'
  const points = (searching ? searched.value.toSorted((a, b) => a.scale - b.scale) : curve?.points) ?? []
  const gains = curve !== null && curve.atOne.loss - curve.best.loss >= GAIN
  const tried = searched.value.at(-1)
  return (
    <section class="host-scale" aria-labelledby="scale-title">
      <h3 id="scale-title" class="writing-name">
        {text.scaleTitle}
      </h3>
      <p class="note">{text.scaleLead}</p>
      {points.length > 0 && (
        <LineChart
          points={points.map(({ scale, loss: y }) => ({ x: scale, y }))}
          reference={null}
          marked={curve && !searching ? points.findIndex(({ scale }) => scale === curve.best.scale) : null}
          whole={false}
          xName={text.axisScale}
          label={text.scaleChartLabel(points.map((one) => text.scaleTried(one.scale, one.loss)).join('. '))}
          empty=""
          testId="host-scale-chart"
        />
      )}
      <p role="status" data-testid="host-scale" data-scale={curve?.best.scale}>
        {searching
          ? tried && text.scaleTried(tried.scale, tried.loss)
          : curve &&
            (gains ? text.scaleFacts(curve.best.scale, curve.best.loss, curve.atOne.loss) : text.scaleNoGain)}
      </p>
      <div class="actions">
        {searching ? (
          <button type="button" class="button" data-testid="host-scale-stop" onClick={stopScaleSearch}>
            {text.scaleStop}
          </button>
        ) : (
          <button
            type="button"
            class="button"
            data-testid="host-scale-find"
            disabled={now !== null}
            onClick={() => void findScale()}
          >
            {text.scaleFind}
          </button>
        )}
        {curve && gains && !searching && (
          <button
            type="button"
            class="button"
            data-testid="host-scale-save"
            onClick={() => void saveScaledAdapter(curve.version, curve.best.scale)}
          >
            {text.scaleSave(curve.best.scale)}
          </button>
        )}
      </div>
      {curve && gains && <p class="note">{text.scaleNote}</p>}
    </section>
  )
}
