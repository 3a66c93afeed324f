/** The merged adapter beside the base model and one's own: losses on held-out text, writing, downloads. */
import { useSignal } from '@preact/signals'
import { LossPlot } from '../components/loss-plot.tsx'
import { Screen } from '../components/screen.tsx'
import { loss } from '../format.ts'
import { downloadAdapter, forgetEverything, stopWriting, writeWithAll } from '../state/comparing.ts'
import {
  forgotten,
  latestVersion,
  loadedVersion,
  type Measured,
  manifest,
  measured,
  missingUpdates,
  versionHasOwn,
  type Writing,
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
  return (
    <Screen
      title={version && versionHasOwn.value ? text.title.ready : text.title.waiting}
      lead={
        version && versionHasOwn.value
          ? text.leadReady(version.contributions)
          : text.leadWaiting(missingUpdates.value)
      }
    >
      {version && (
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
          {!versionHasOwn.value && ` ${text.notYours}`}
        </p>
      )}
      <Losses />
      <Writings />
      <Downloads />
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
  const prompt = useSignal(text.promptDefault)
  return (
    <section class="card" aria-labelledby="writing-title">
      <h2 id="writing-title">{text.promptTitle}</h2>
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault()
          if (!writing.peek()) void writeWithAll(prompt.peek())
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
          value={prompt.value}
          onInput={(event) => {
            prompt.value = event.currentTarget.value
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
              disabled={prompt.value.trim() === ''}
            >
              {text.generate}
            </button>
          )}
          <span class="note">{text.modelNote}</span>
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
            {entry.text}
          </>
        )}
      </p>
    </div>
  )
}

function Downloads() {
  return (
    <section class="card" aria-labelledby="download-title">
      <div class="screen-head">
        <h2 id="download-title">{text.downloadTitle}</h2>
        <p class="note">{text.downloadLead}</p>
      </div>
      <div class="actions">
        <button
          type="button"
          class="button button-primary"
          data-testid="download-merged"
          disabled={loadedVersion.value === null}
          onClick={() => void downloadAdapter('merged')}
        >
          {text.downloadMerged}
        </button>
        <button
          type="button"
          class="button"
          data-testid="download-own"
          onClick={() => void downloadAdapter('own')}
        >
          {text.downloadOwn}
        </button>
      </div>
      <p class="note" role="status">
        {forgotten.value ? text.forgotten : text.forgetLead}
      </p>
      <div class="actions">
        <button
          type="button"
          class="button button-small"
          data-testid="forget"
          disabled={forgotten.value}
          onClick={() => void forgetEverything()}
        >
          {text.forget}
        </button>
      </div>
    </section>
  )
}
