/**
 * What is chosen before a room opens. Only what this relay offers is here, each with what it does and costs; what
 * there is no choice in is not asked.
 */
import { type Signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { mediumOf } from '../../../models/families/media.ts'
import type { Offer, OfferedModel } from '../../../relay/protocol/host.ts'
import { isStepped } from '../../../relay/protocol/manifest.ts'
import { Fact, Facts } from '../../components/facts.tsx'
import { Choices, NumberField } from '../../components/host/choices.tsx'
import { Screen } from '../../components/screen.tsx'
import { bytes } from '../../format.ts'
import { openRoom } from '../../state/host/acting.ts'
import { offer, working } from '../../state/host/host-store.ts'
import {
  BOUNDS,
  classPreset,
  costOf,
  fixedRanks,
  modelBytes,
  mostRank,
  needsStart,
  type Plan,
  possibleForms,
  possibleStrategies,
  withForm,
} from '../../state/host/plan.ts'
import { plan as text } from '../../strings/host-plan.ts'
import { PlaceLink } from './console.tsx'
import { ModeChoice, PrivacyChoice } from './open-room-terms.tsx'

/** A class's laptops differ widely; the rehearsal measures the host's own. */
const EXAMPLE_TOKENS_PER_SECOND = 300
const CLASS = 30

export function OpenRoomScreen() {
  const found = offer.value
  return (
    <Screen title={text.title} lead={text.lead}>
      {found && found.models.length > 0 && <PlanForm offer={found} />}
      {found?.models.length === 0 && <p class="notice notice-warm">{text.noModels}</p>}
      <p>
        <PlaceLink to={{ view: 'home' }}>{text.back}</PlaceLink>
      </p>
    </Screen>
  )
}

export interface PartProps {
  readonly plan: Signal<Plan>
  readonly model: OfferedModel
  readonly offer: Offer
}

/** The smallest: what a class without graphics processors can train. */
const smallest = ({ models }: Offer) => models.toSorted((a, b) => modelBytes(a) - modelBytes(b))[0]

function PlanForm({ offer: found }: { readonly offer: Offer }) {
  const plan = useSignal(classPreset(smallest(found), text.roomTitleDefault))
  const model = found.models.find(({ digest }) => digest === plan.value.model) ?? smallest(found)
  useEffect(() => {
    // The relay was started again with other models meanwhile.
    if (model.digest !== plan.peek().model) plan.value = classPreset(model, plan.peek().title)
  }, [model, plan])
  const part = { plan, model, offer: found }
  return (
    <form
      class="plan"
      onSubmit={(event) => {
        event.preventDefault()
        void openRoom(plan.peek())
      }}
    >
      <div class="plan-parts">
        <div class="card">
          <TitleField plan={plan} />
          <Preset plan={plan} offer={found} />
        </div>
        <ModelChoice {...part} />
        <PrivacyChoice {...part} />
        <ModeChoice {...part} />
        <AdapterChoice {...part} />
        <RecipeFields {...part} />
        <StrategyChoice {...part} />
        <PublishingFields plan={plan} />
      </div>
      <Cost plan={plan.value} model={model} />
    </form>
  )
}

function TitleField({ plan }: { readonly plan: Signal<Plan> }) {
  return (
    <div class="field">
      <label class="field-label" for="plan-title">
        {text.roomTitle}
      </label>
      <input
        class="input"
        id="plan-title"
        data-testid="plan-title"
        required
        maxLength={120}
        value={plan.value.title}
        onInput={(event) => {
          plan.value = { ...plan.peek(), title: event.currentTarget.value }
        }}
      />
    </div>
  )
}

function Preset({ plan, offer: found }: { readonly plan: Signal<Plan>; readonly offer: Offer }) {
  const preset = classPreset(smallest(found), plan.value.title)
  const isSet = JSON.stringify(preset) === JSON.stringify(plan.value)
  return (
    <div class="preset">
      <div>
        <p class="choice-name">{text.preset}</p>
        <p class="note">{text.presetWords}</p>
      </div>
      <button
        type="button"
        class="button button-small"
        data-testid="plan-preset"
        disabled={isSet}
        onClick={() => {
          plan.value = preset
        }}
      >
        {isSet ? text.presetIs : text.presetUse}
      </button>
    </div>
  )
}

function ModelChoice({ plan, offer: found }: PartProps) {
  return (
    <div class="card">
      <Choices
        legend={text.model}
        name="model"
        value={plan.value.model}
        options={found.models.map((one) => ({
          id: one.digest as string,
          name: one.id,
          words: text.modelWords(modelBytes(one), one.license),
        }))}
        onChange={(digest) => {
          const chosen = found.models.find((one) => one.digest === digest)
          // What suits one model is too much or too little for another.
          if (chosen) plan.value = classPreset(chosen, plan.peek().title)
        }}
      />
    </div>
  )
}

function AdapterChoice({ plan, offer: found, model }: PartProps) {
  const { form, rank } = plan.value
  const ranks = form === 'lora-sb' ? fixedRanks(model) : null
  return (
    <div class="card">
      <Choices
        legend={text.form}
        name="form"
        value={form}
        options={possibleForms(found, model, plan.value.privacy).map((id) => ({ id, ...text.forms[id] }))}
        onChange={(id) => {
          plan.value = withForm(plan.peek(), id, model)
        }}
      />
      <NumberField
        name="rank"
        label={text.rank}
        note={text.rankNote}
        value={rank}
        least={ranks?.[0] ?? BOUNDS.rank[0]}
        most={ranks?.at(-1) ?? mostRank(model, form)}
        onChange={(value) => {
          if (!ranks || ranks.includes(value)) plan.value = { ...plan.peek(), rank: value }
        }}
      />
    </div>
  )
}

function RecipeFields({ plan, model }: PartProps) {
  const now = plan.value
  const { trainedTokens } = costOf(now, model)
  // A picture is as long as its model makes it.
  const draws = mediumOf(model.family) === 'pictures'
  const set = (change: Partial<Plan>) => {
    plan.value = { ...plan.peek(), ...change }
  }
  return (
    <fieldset class="card choices">
      <legend class="choices-legend">{text.recipe}</legend>
      <div class="plan-numbers">
        <NumberField
          name="steps"
          label={text.steps}
          value={now.steps}
          least={BOUNDS.steps[0]}
          most={BOUNDS.steps[1]}
          onChange={(steps) => set({ steps })}
        />
        <NumberField
          name="batch"
          label={text.batch}
          value={now.batch}
          least={BOUNDS.batch[0]}
          most={BOUNDS.batch[1]}
          onChange={(batch) => set({ batch })}
        />
        {!draws && (
          <NumberField
            name="tokens"
            label={text.tokens}
            value={now.tokens}
            least={8}
            most={Math.min(model.maxTokens, 4096)}
            onChange={(tokens) => set({ tokens })}
          />
        )}
        <NumberField
          name="learning-rate"
          label={text.learningRate}
          note={text.learningRateNote}
          value={now.learningRate}
          least={1e-6}
          most={1}
          step="any"
          onChange={(learningRate) => set({ learningRate })}
        />
      </div>
      <p class="note" data-testid="plan-time">
        {draws
          ? text.recipePictures(now.steps * now.batch)
          : text.recipeNote(trainedTokens, trainedTokens / EXAMPLE_TOKENS_PER_SECOND)}
      </p>
    </fieldset>
  )
}

function StrategyChoice({ plan, offer: found }: PartProps) {
  return (
    <div class="card">
      <Choices
        legend={text.strategy}
        name="strategy"
        value={plan.value.strategy}
        options={possibleStrategies(found, plan.value).map((id) => ({ id, ...text.strategies[id] }))}
        onChange={(strategy) => {
          plan.value = { ...plan.peek(), strategy }
        }}
      />
    </div>
  )
}

function PublishingFields({ plan }: { readonly plan: Signal<Plan> }) {
  const { publishEvery, approve, gate, withCode, privacy, mode } = plan.value
  const isOneRound = !isStepped(mode)
  const set = (change: Partial<Plan>) => {
    plan.value = { ...plan.peek(), ...change }
  }
  return (
    <fieldset class="card choices">
      <legend class="choices-legend">{text.publishing}</legend>
      {privacy || !isOneRound ? (
        <p class="note">{privacy ? text.publishOnce : text.publishRounds}</p>
      ) : (
        <NumberField
          name="publish-every"
          label={text.publishEvery}
          note={text.publishEveryNote}
          value={publishEvery}
          least={BOUNDS.publishEvery[0]}
          most={BOUNDS.publishEvery[1]}
          onChange={(value) => set({ publishEvery: value })}
        />
      )}
      <label class="check">
        <input
          type="checkbox"
          data-testid="plan-code"
          checked={withCode}
          onChange={(event) => set({ withCode: event.currentTarget.checked })}
        />
        <span>{text.withCode}</span>
        <span class="note">{text.withCodeNote}</span>
      </label>
      {offer.value?.gate && !privacy && isOneRound && (
        <label class="check">
          <input
            type="checkbox"
            data-testid="plan-gate"
            checked={gate}
            onChange={(event) => set({ gate: event.currentTarget.checked })}
          />
          <span>{text.gate}</span>
          <span class="note">{text.gateNote}</span>
        </label>
      )}
      {offer.value?.approval && !privacy && isOneRound && (
        <label class="check">
          <input
            type="checkbox"
            data-testid="plan-approve"
            checked={approve}
            onChange={(event) => set({ approve: event.currentTarget.checked })}
          />
          <span>{text.approve}</span>
          <span class="note">{text.approveNote}</span>
        </label>
      )}
    </fieldset>
  )
}

/** Beside the form on a wide screen, at its end on a narrow one. */
function Cost({ plan, model }: { readonly plan: Plan; readonly model: OfferedModel }) {
  const { rounds, downloadBytes, updateBytes, trainedTokens } = costOf(plan, model)
  return (
    <aside class="card plan-cost" aria-labelledby="plan-cost-title">
      <h2 id="plan-cost-title">{text.costTitle}</h2>
      <Facts>
        <Fact name={text.costDownload}>{bytes(downloadBytes)}</Fact>
        <Fact name={text.costTrain}>
          {mediumOf(model.family) === 'pictures'
            ? text.costTrainPictures(rounds * plan.steps * plan.batch, rounds * plan.steps)
            : text.costTrainFacts(trainedTokens, rounds * plan.steps)}
        </Fact>
        <Fact name={text.costUpdate} testId="plan-update-bytes">
          {bytes(updateBytes)}
        </Fact>
        <Fact name={text.costClass}>{text.costClassFacts(CLASS * downloadBytes, CLASS * updateBytes)}</Fact>
      </Facts>
      <button
        type="submit"
        class="button button-primary"
        data-testid="plan-open"
        disabled={working.value !== null}
      >
        {working.value === 'open' ? text.opening : text.open}
      </button>
      {needsStart(plan, model) && (
        <p class="note" role="status" data-testid="plan-start-wait">
          {working.value === 'open' ? text.makingStart : text.startWait}
        </p>
      )}
    </aside>
  )
}
