/** Base model, own and merged adapter side by side: losses on held-out text, writing, versions, downloads. */
import { ConfirmedAction } from '../components/confirmed-action.tsx'
import { Downloads } from '../components/downloads.tsx'
import { Drawings } from '../components/drawings.tsx'
import { LossPlot } from '../components/loss-plot.tsx'
import { NextRound } from '../components/rounds.tsx'
import { Screen } from '../components/screen.tsx'
import { Versions } from '../components/versions.tsx'
import { Withdraw } from '../components/withdraw.tsx'
import { afterPrompt, loss } from '../format.ts'
import { leaveResult, stopWriting, writeWithAll } from '../state/comparing.ts'
import { eraseEverything } from '../state/erasing.ts'
import { drawsPictures } from '../state/medium.ts'
import { samplePrompt, setSamplePrompt } from '../state/sampling.ts'
import {
  catalogEntry,
  latestVersion,
  loadedVersion,
  type Measured,
  manifest,
  measured,
  missingUpdates,
  receipt,
  versionHasOwn,
  type Writing,
  withdrawnBy,
  writing,
  writings,
  writtenPrompt,
} from '../state/store.ts'
import { result as text } from '../strings/result.ts'
import type { Which } from '../worker/api.ts'

const order: readonly Which[] = ['base', 'own', 'merged']

export function ResultScreen() {
  const room = manifest.value
  if (!room) return null
  const version = latestVersion.value
  const kept = receipt.value === null
  const merged = version !== null && versionHasOwn.value
  return (
    <Screen
      title={
        kept
          ? withdrawnBy.value
            ? text.title.withdrawn
            : text.title.kept
          : merged
            ? text.title.ready
            : text.title.waiting
      }
      lead={
        kept
          ? withdrawnBy.value
            ? text.leadWithdrawn[withdrawnBy.value]
            : text.leadKept
          : merged
            ? text.leadReady(version.contributions)
            : text.leadWaiting(missingUpdates.value)
      }
    >
      {kept && (
        <div class="actions">
          <button type="button" class="button button-primary" data-testid="result-back" onClick={leaveResult}>
            {text.backToReview}
          </button>
        </div>
      )}
      {/* It has its place before there is one: what is read below must not jump when a version comes. */}
      {version === null ? (
        <p class="notice" role="status">
          {text.noVersion}
        </p>
      ) : (
        <p class={versionHasOwn.value ? 'notice notice-good' : 'notice'} role="status">
          <span
            data-testid="merged-version"
            data-version={version.version}
            data-digest={version.digest}
            data-contributions={version.contributions}
            data-own={versionHasOwn.value}
          >
            {text.versionFacts(version.version, version.contributions)}
          </span>
          {!kept && !versionHasOwn.value && ` ${text.notYours}`}
        </p>
      )}
      <NextRound />
      <Losses />
      {drawsPictures.value ? <Drawings /> : <Writings />}
      <Versions />
      <Downloads />
      <Withdraw />
      <EraseEverything />
    </Screen>
  )
}

function Losses() {
  const entries = order.map((which) => [which, measured[which].value] as const)
  const known = entries.flatMap(([, entry]) => (entry.loss === null ? [] : [entry.loss]))
  const low = Math.min(...known)
  const high = Math.max(...known)
  const base = measured.base.value.loss
  const tokens = measured.base.value.counted
  return (
    <section class="card" aria-labelledby="loss-title">
      <div class="screen-head">
        <h2 id="loss-title">{text.lossTitle}</h2>
        <p class="note">{tokens > 0 ? text.lossLead(tokens) : text.lossLeadEmpty}</p>
      </div>
      <table class="losses">
        <thead>
          <tr>
            <th scope="col">{text.nameColumn}</th>
            <td class="losses-plot-cell" />
            <th scope="col" class="losses-value">
              {text.lossColumn}
            </th>
            <th scope="col" class="losses-change">
              {text.changeColumn}
            </th>
          </tr>
        </thead>
        <tbody>
          {entries.map(([which, entry]) => (
            <tr key={which}>
              <th scope="row">{text.names[which]}</th>
              <td class="losses-plot-cell" aria-hidden="true">
                <LossPlot which={which} loss={entry.loss} reference={base} low={low} high={high} />
              </td>
              {entry.loss === null ? (
                <td class="losses-pending" colSpan={2} data-testid={`result-${which}-pending`}>
                  {pendingWords(which, entry)}
                </td>
              ) : (
                <>
                  <td class="losses-value" data-testid={`result-${which}-loss`} data-loss={entry.loss}>
                    {loss(entry.loss)}
                  </td>
                  <td class="losses-change">
                    {which !== 'base' && base !== null && text.change(entry.loss - base)}
                  </td>
                </>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

function pendingWords(which: Which, entry: Measured): string {
  if (entry.fraction !== null) return text.measuring(entry.fraction)
  return which === 'merged' && loadedVersion.value === null ? text.noMerged : text.notMeasured
}

function Writings() {
  return (
    <section class="card" aria-labelledby="writing-title">
      <h2 id="writing-title">{text.promptTitle}</h2>
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault()
          if (!writing.peek()) void writeWithAll(samplePrompt.peek())
        }}
      >
        <label class="field-label" for="prompt">
          {text.prompt}
        </label>
        <input
          id="prompt"
          class="input"
          data-testid="prompt"
          autocomplete="off"
          maxLength={500}
          value={samplePrompt.value}
          onInput={(event) => {
            setSamplePrompt(event.currentTarget.value)
          }}
        />
        <div class="actions">
          {writing.value ? (
            <button type="button" class="button" data-testid="generate-stop" onClick={stopWriting}>
              {text.stop}
            </button>
          ) : (
            <button
              type="submit"
              class="button button-primary"
              data-testid="generate"
              disabled={samplePrompt.value.trim() === ''}
            >
              {text.generate}
            </button>
          )}
          {isSmall() && <span class="note">{text.modelNote}</span>}
        </div>
      </form>
      <div class="writings">
        {order.map((which) => (
          <WrittenText key={which} which={which} entry={writings[which].value} />
        ))}
      </div>
    </section>
  )
}

/** Of a model of a few million parameters nobody should expect sense. */
const isSmall = () => (catalogEntry.value?.parameters ?? Number.POSITIVE_INFINITY) < 20e6

function WrittenText({ which, entry }: { readonly which: Which; readonly entry: Writing }) {
  const missing = which === 'merged' && loadedVersion.value === null
  const facts = entry.tokensPerSecond === null ? '' : text.generatedFacts(entry.tokens, entry.tokensPerSecond)
  return (
    <div class="writing">
      <div class="writing-head">
        <h3 class="writing-name">{text.names[which]}</h3>
        <span class="note">{entry.active && entry.text === '' ? text.writing : facts}</span>
      </div>
      <p class="writing-text" data-testid={`generated-${which}`} data-active={entry.active}>
        {entry.text === '' && !entry.active ? (
          <span class="writing-prompt">{missing ? text.noMerged : text.empty}</span>
        ) : (
          <>
            <span class="writing-prompt">{writtenPrompt.value}</span>
            {afterPrompt(entry.text)}
          </>
        )}
      </p>
    </div>
  )
}

/** Shared laptops: the last thing on the last screen. */
function EraseEverything() {
  return (
    <ConfirmedAction
      title={text.forgetTitle}
      lead={text.forgetLead}
      ask={text.forget}
      question={text.forgetConfirm}
      yes={text.forgetYes}
      working={text.forgetting}
      no={text.forgetNo}
      testId="forget"
      act={eraseEverything}
    />
  )
}
