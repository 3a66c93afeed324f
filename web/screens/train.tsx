/** Training: the plan, then the live curve with speed and time left, pause, resume and an early stop. */
import { ChartPlace } from '../components/chart-place.tsx'
import { BigNumber, Fact, Facts } from '../components/facts.tsx'
import { Later } from '../components/later.tsx'
import { Meter } from '../components/meter.tsx'
import { PreviewCard } from '../components/preview-card.tsx'
import { SampleCard } from '../components/sample-card.tsx'
import { Screen } from '../components/screen.tsx'
import { capitalised, loss, rate } from '../format.ts'
import { batteryLevel } from '../state/battery.ts'
import { roundState } from '../state/machine.ts'
import { drawsPictures } from '../state/medium.ts'
import { runSeconds } from '../state/run-time.ts'
import { lastAbsence } from '../state/staying-awake.ts'
import {
  checkpointStep,
  curve,
  dataReport,
  device,
  manifest,
  origin,
  outcome,
  pace,
  plannedSteps,
  stopping,
  storageWorks,
  trainReport,
} from '../state/store.ts'
import {
  backToData,
  backToReview,
  pauseTraining,
  resumeTraining,
  setPace,
  startTraining,
  stopTraining,
} from '../state/training.ts'
import { join } from '../strings/join.ts'
import { rounds } from '../strings/rounds.ts'
import { train as text } from '../strings/train.ts'
import { wallSeconds } from '../worker/pace.ts'

export function TrainScreen() {
  const at = roundState.value.at
  if (at === 'ready') return <Ready />
  const paused = at === 'paused'
  return (
    <Screen
      eyebrow={roundWords()}
      title={paused ? text.title.paused : text.title.running}
      lead={paused ? text.leadPaused : text.lead}
    >
      <div class="card">
        <Progress />
        <Curve />
        <Numbers />
      </div>
      <div class="actions">
        {paused ? (
          <button
            type="button"
            class="button button-primary"
            data-testid="train-resume"
            onClick={resumeTraining}
          >
            {text.resume}
          </button>
        ) : (
          <button
            type="button"
            class="button"
            data-testid="train-pause"
            disabled={stopping.value}
            onClick={pauseTraining}
          >
            {text.pause}
          </button>
        )}
        <button
          type="button"
          class="button"
          data-testid="train-stop"
          disabled={stopping.value || trainReport.value === null}
          onClick={stopTraining}
        >
          {stopping.value ? text.stopping : text.stop}
        </button>
      </div>
      <Pace />
      {drawsPictures.value ? <PreviewCard /> : <SampleCard running />}
      <p class="note">{text.background}</p>
      {lastAbsence.value && (
        <p class="notice" role="status" data-testid="train-absence">
          {text.absence(lastAbsence.value.seconds, lastAbsence.value.steps)}
        </p>
      )}
      <p class="note checkpoint" data-testid="train-checkpoint" data-step={checkpointStep.value ?? undefined}>
        {!storageWorks.value
          ? text.checkpointFailed
          : checkpointStep.value === null
            ? text.noCheckpoint
            : text.checkpoint(checkpointStep.value)}
      </p>
    </Screen>
  )
}

/** Which round is trained for, and from where. */
function roundWords(): string | undefined {
  const began = origin.value
  if (!began) return undefined
  const of = manifest.value?.mode?.kind === 'rounds' ? manifest.value.mode.rounds : null
  return `${rounds.name(began.round, of)}, ${rounds.from(began.version?.version ?? null)}`
}

function Ready() {
  const room = manifest.value
  const data = dataReport.value
  if (!room || !data) return null
  const { rank, modules } = room.adapter
  const numbers = modules.reduce((sum, module) => sum + rank * (module.inFeatures + module.outFeatures), 0)
  return (
    <Screen title={text.title.ready} lead={text.leadReady}>
      <div class="card">
        <Facts>
          <Fact name={text.planText}>{text.planTextFacts(data.trainExamples, data.heldOutExamples)}</Fact>
          <Fact name={text.planAdapter}>{text.planAdapterFacts(numbers, rank)}</Fact>
          <Fact name={text.planSteps}>
            {join.trainingFacts(plannedSteps.value, room.recipe.batch, room.recipe.tokens)}
            {plannedSteps.value < room.recipe.steps && (
              <span class="note">{join.fewerSteps(plannedSteps.value, room.recipe.steps)}</span>
            )}
          </Fact>
          <Fact name={text.planDevice}>{capitalised(device.value?.device ?? '')}</Fact>
          <Fact name={text.planTime} testId="plan-time">
            {runSeconds.value === null
              ? text.planTimeMeasuring
              : text.planTimeFacts(wallSeconds(pace.value, runSeconds.value))}
            <span class="note">{text.planTimeNote}</span>
          </Fact>
        </Facts>
      </div>
      <div class="actions">
        <button type="button" class="button button-primary" data-testid="train-start" onClick={startTraining}>
          {outcome.value ? text.startAgain : text.start}
        </button>
        {outcome.value && (
          <button type="button" class="button" data-testid="train-review" onClick={backToReview}>
            {text.toReview}
          </button>
        )}
        <button type="button" class="button button-quiet" data-testid="train-back" onClick={backToData}>
          {text.back}
        </button>
      </div>
      <Pace />
      {drawsPictures.value ? <PreviewCard /> : <SampleCard running={false} />}
      <p class="note">{storageWorks.value ? text.noCheckpoint : text.checkpointFailed}</p>
    </Screen>
  )
}

/** May be changed at any time, before the first step or in the middle. */
function Pace() {
  const level = batteryLevel.value
  return (
    <label class="check">
      <input
        type="checkbox"
        data-testid="train-gentle"
        checked={pace.value === 'gentle'}
        onChange={(event) => setPace(event.currentTarget.checked ? 'gentle' : 'full')}
      />
      <span>{text.gentle}</span>
      <span class="note">
        {level !== null && `${text.onBattery(level)} `}
        {text.gentleNote}
      </span>
    </label>
  )
}

function Progress() {
  const report = trainReport.value
  if (!report) return <Meter label={text.progressLabel} words={text.preparing} fraction={null} />
  return (
    <div class="meter">
      <div class="meter-words">
        <span>
          {text.step} <span data-testid="train-step">{report.step}</span> {text.of} {report.steps}
        </span>
        <span data-testid="train-time-left">{text.timeLeftFacts(report.secondsLeft)}</span>
      </div>
      <progress aria-label={text.progressLabel} max={report.steps} value={report.step} />
    </div>
  )
}

const loadChart = async () => (await import('../components/loss-chart.tsx')).LossChart

/** The chart's library is fetched with this screen, not with the page; its place is kept meanwhile. */
function Curve() {
  return (
    <figure>
      <Later load={loadChart} props={{}} meanwhile={<ChartPlace />} />
      <figcaption class="legend" aria-hidden="true">
        <span class="legend-item">{text.chartTrain}</span>
        <span class="legend-item legend-held-out">{text.chartHeldOut}</span>
        <span>{text.chartUnits}</span>
      </figcaption>
    </figure>
  )
}

function Numbers() {
  const report = trainReport.value
  const heldOut = curve.value.findLast((point) => point.heldOutLoss !== null)?.heldOutLoss
  return (
    <dl class="numbers">
      <BigNumber name={text.loss} value={report ? loss(report.loss) : '–'} testId="train-loss" />
      <BigNumber
        name={text.heldOutLoss}
        value={heldOut === null || heldOut === undefined ? '–' : loss(heldOut)}
        testId="train-held-out-loss"
      />
      <BigNumber
        name={text.speed}
        value={report ? rate(report.tokensPerSecond) : '–'}
        unit={text.speedUnit}
        testId="train-speed"
      />
    </dl>
  )
}
