/** A prompt, and what the model makes of it before training and now. */

import { afterPrompt } from '../format.ts'
import {
  canSample,
  type Sample,
  sampleBefore,
  sampleNow,
  samplePrompt,
  sampling,
  setSamplePrompt,
  writeSample,
} from '../state/sampling.ts'
import { train as text } from '../strings/train.ts'

export function SampleCard({ running }: { readonly running: boolean }) {
  return (
    <section class="card" aria-labelledby="sample-title">
      <h2 id="sample-title">{text.sampleTitle}</h2>
      <form
        class="field"
        onSubmit={(event) => {
          event.preventDefault()
          void writeSample()
        }}
      >
        <label class="note" for="sample-prompt">
          {text.samplePrompt}
        </label>
        <div class="sample-line">
          <input
            id="sample-prompt"
            class="input"
            autocomplete="off"
            maxLength={500}
            data-testid="sample-prompt"
            value={samplePrompt.value}
            onInput={(event) => setSamplePrompt(event.currentTarget.value)}
          />
          <button
            type="submit"
            class="button"
            data-testid="sample-write"
            disabled={!canSample.value || sampling.value || samplePrompt.value.trim() === ''}
          >
            {sampling.value ? text.sampleWriting : text.sampleWrite}
          </button>
        </div>
      </form>
      <Written name={text.sampleBefore} sample={sampleBefore.value} testId="sample-before" />
      {running && (
        <Written
          name={text.sampleNow(sampleNow.value?.step ?? null)}
          sample={sampleNow.value}
          testId="sample-now"
        />
      )}
    </section>
  )
}

interface WrittenProps {
  readonly name: string
  readonly sample: Sample | null
  readonly testId: string
}

function Written({ name, sample, testId }: WrittenProps) {
  return (
    <div class="writing">
      <h3 class="writing-name">{name}</h3>
      <p class="writing-text writing-short" data-testid={testId} data-active={sample?.active ?? false}>
        {sample ? (
          <>
            <span class="writing-prompt">{sample.prompt}</span>
            {afterPrompt(sample.text)}
          </>
        ) : (
          <span class="writing-prompt">{text.sampleNone}</span>
        )}
      </p>
    </div>
  )
}
