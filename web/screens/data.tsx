/** Text in: dropped, picked, pasted or a sample; what became of it, and what was skipped and why. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { BigNumber } from '../components/facts.tsx'
import { Screen } from '../components/screen.tsx'
import { count } from '../format.ts'
import {
  addFiles,
  addSample,
  addText,
  continueToTraining,
  hasEnoughText,
  removeFile,
} from '../state/reading.ts'
import { samples } from '../state/samples.ts'
import { dataReport, files, modelReport, reading, storageWorks } from '../state/store.ts'
import { data as text } from '../strings/data.ts'
import { download } from '../strings/download.ts'
import type { FileReport } from '../worker/api.ts'

const ACCEPT = '.txt,.md,.markdown,.jsonl,.csv,text/plain,text/markdown,text/csv'
const SHOWN_SKIPPED_ROWS = 20

export function DataScreen() {
  const busy = reading.value
  return (
    <Screen title={text.title} lead={text.lead}>
      <DropZone />
      <Samples />
      <Paste />
      {dataReport.value && files.value.length > 0 && <Preview />}
      <p class="note" data-testid="data-stays">
        {text.stays}
        {!storageWorks.value && ` ${text.notKept}`}
      </p>
      <div class="actions">
        <button
          type="button"
          class="button button-primary"
          data-testid="data-continue"
          disabled={!hasEnoughText.value}
          onClick={continueToTraining}
        >
          {text.continue}
        </button>
        <span class="note" role="status" data-testid="data-need">
          {busy ??
            (hasEnoughText.value
              ? ''
              : dataReport.value && files.value.length > 0
                ? text.tooShort
                : text.needMore)}
        </span>
      </div>
      <ModelNote />
    </Screen>
  )
}

function ModelNote() {
  const report = modelReport.value
  if (!report) return null
  const words =
    report.downloadedBytes === 0 ? download.fromCache(report.cachedBytes) : download.done(report.totalBytes)
  const kept = report.downloadedBytes === 0 ? '' : report.kept ? download.keptForNextTime : download.notKept
  return (
    <p class="note" data-testid="model-report" data-cached={report.downloadedBytes === 0}>
      {words} {kept}
    </p>
  )
}

function DropZone() {
  const over = useSignal(false)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    // A file that misses the zone must not make the browser open it in place of this page.
    const stay = (event: DragEvent) => event.preventDefault()
    window.addEventListener('dragover', stay)
    window.addEventListener('drop', stay)
    return () => {
      window.removeEventListener('dragover', stay)
      window.removeEventListener('drop', stay)
    }
  }, [])
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is an extra; the button inside does the same
    <div
      class="drop"
      data-over={over.value}
      data-testid="data-drop"
      onDragOver={(event) => {
        event.preventDefault()
        over.value = true
      }}
      onDragLeave={() => {
        over.value = false
      }}
      onDrop={(event) => {
        event.preventDefault()
        over.value = false
        void addFiles(Array.from(event.dataTransfer?.files ?? []))
      }}
    >
      <span class="drop-title">{text.drop}</span>
      <span class="note">{text.dropFormats}</span>
      <input
        ref={input}
        class="visually-hidden"
        type="file"
        multiple
        accept={ACCEPT}
        tabIndex={-1}
        aria-label={text.pick}
        data-testid="data-file"
        onChange={(event) => {
          void addFiles(Array.from(event.currentTarget.files ?? []))
          event.currentTarget.value = ''
        }}
      />
      <button type="button" class="button" data-testid="data-pick" onClick={() => input.current?.click()}>
        {text.pick}
      </button>
    </div>
  )
}

function Samples() {
  if (samples.length === 0) return null
  return (
    <section class="field" aria-labelledby="sample-label">
      <h2 class="field-label" id="sample-label">
        {text.sampleLabel}
      </h2>
      <div class="samples">
        {samples.map((sample) => (
          <button
            key={sample.id}
            type="button"
            class="button sample"
            data-testid={`data-sample-${sample.id}`}
            onClick={() => void addSample(sample)}
          >
            <span class="sample-title">{sample.title}</span>
            <span class="sample-author">{sample.author}</span>
          </button>
        ))}
      </div>
    </section>
  )
}

function Paste() {
  const pasted = useSignal('')
  return (
    <div class="field">
      <label class="field-label" for="paste">
        {text.pasteLabel}
      </label>
      <textarea
        id="paste"
        class="input"
        placeholder={text.pastePlaceholder}
        data-testid="data-paste"
        value={pasted.value}
        onInput={(event) => {
          pasted.value = event.currentTarget.value
        }}
      />
      <div class="actions">
        <button
          type="button"
          class="button button-small"
          data-testid="data-paste-add"
          disabled={pasted.value.trim() === ''}
          onClick={() => {
            void addText(pasted.value)
            pasted.value = ''
          }}
        >
          {text.pasteAdd}
        </button>
      </div>
    </div>
  )
}

function Preview() {
  const report = dataReport.value
  if (!report) return null
  return (
    <section class="card" data-testid="data-preview" aria-labelledby="files-title">
      <h2 id="files-title">{text.filesTitle}</h2>
      <ul class="files">
        {report.files.map((file, index) => (
          <FileEntry key={`${index} ${file.name}`} file={file} index={index} />
        ))}
      </ul>
      {report.documents > 0 && (
        <>
          <dl class="numbers">
            <BigNumber name={text.documents} value={count(report.documents)} testId="data-documents" />
            <BigNumber name={text.examples} value={count(report.trainExamples)} testId="data-examples" />
            <BigNumber name={text.heldOut} value={count(report.heldOutExamples)} testId="data-held-out" />
            <BigNumber name={text.tokens} value={count(report.tokens)} testId="data-tokens" />
          </dl>
          <p class="note">{text.explanation(report.windowTokens)}</p>
          {report.excerpts.map((excerpt) => (
            <figure key={excerpt} class="field">
              <figcaption class="note">{text.excerpt}</figcaption>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling box must be reachable by keyboard */}
              <blockquote class="excerpt" tabIndex={0} data-testid="data-excerpt">
                {excerpt}
              </blockquote>
            </figure>
          ))}
        </>
      )}
    </section>
  )
}

function FileEntry({ file, index }: { readonly file: FileReport; readonly index: number }) {
  const { skipped, problem } = file
  return (
    <li class="file" data-testid="data-file-entry">
      <div>
        <div class="file-name">{file.name}</div>
        <div class="file-facts">
          {problem ? text.fileUnused : text.fileFacts(file.documents, file.fileBytes)}
        </div>
      </div>
      <button
        type="button"
        class="button button-quiet button-small"
        aria-label={text.remove(file.name)}
        data-testid="data-remove"
        onClick={() => void removeFile(index)}
      >
        {text.removeShort}
      </button>
      {problem && (
        <p class="file-problem" role="alert" data-testid="data-error" data-code={problem.code}>
          {problem.message}
        </p>
      )}
      {skipped.length > 0 && (
        <details class="skipped" data-testid="data-skipped">
          <summary>{text.skippedTitle(skipped.length)}</summary>
          <ul>
            {skipped.slice(0, SHOWN_SKIPPED_ROWS).map((row, position) => (
              <li key={position}>{text.skippedLine(row)}</li>
            ))}
            {skipped.length > SHOWN_SKIPPED_ROWS && (
              <li>{text.skippedMore(skipped.length - SHOWN_SKIPPED_ROWS)}</li>
            )}
          </ul>
        </details>
      )}
    </li>
  )
}
