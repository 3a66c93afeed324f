/** Text in: files and folders, pairs written by hand, pasted text or a sample; and what became of it. */
import { useSignal } from '@preact/signals'
import { DataPreview } from '../components/data-preview.tsx'
import { DropZone } from '../components/drop-zone.tsx'
import { PairsEditor } from '../components/pairs-editor.tsx'
import { PictureSamples } from '../components/picture-samples.tsx'
import { Screen } from '../components/screen.tsx'
import { Tabs } from '../components/tabs.tsx'
import { drawsPictures } from '../state/medium.ts'
import { pageKept } from '../state/offline.ts'
import { PAIRS_FILE_NAME } from '../state/pairs.ts'
import { addSample, addText, continueToTraining, hasEnoughText } from '../state/reading.ts'
import { samples } from '../state/samples.ts'
import { dataReport, files, modelReport, reading, storageWorks } from '../state/store.ts'
import { data as text } from '../strings/data.ts'
import { download } from '../strings/download.ts'

const WAYS = ['files', 'write', 'paste', 'sample'] as const
type Way = (typeof WAYS)[number]
/** Pictures are neither written nor pasted here. */
const PICTURE_WAYS: readonly Way[] = ['files', 'sample']

export function DataScreen() {
  const way = useSignal<Way | null>(null)
  way.value ??= files.peek().some(({ name }) => name === PAIRS_FILE_NAME) ? 'write' : 'files'
  const current = way.value
  return (
    <Screen title={text.title} lead={text.lead}>
      <Tabs
        label={text.waysLabel}
        tabs={(drawsPictures.value ? PICTURE_WAYS : WAYS).map((id) => ({ id, name: text.ways[id] }))}
        current={current}
        onChange={(id) => {
          way.value = id
        }}
      >
        {/* Hidden, not gone: a file may be dropped by a program that knows nothing of tabs. */}
        <div hidden={current !== 'files'}>
          <DropZone />
        </div>
        {current === 'write' && <PairsEditor />}
        {current === 'paste' && <Paste />}
        {current === 'sample' && (drawsPictures.value ? <PictureSamples /> : <Samples />)}
      </Tabs>
      {dataReport.value && files.value.length > 0 && <DataPreview />}
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
          {needWords()}
        </span>
      </div>
      <ModelNote />
    </Screen>
  )
}

function needWords(): string {
  if (reading.value) return reading.value
  if (hasEnoughText.value) return ''
  return dataReport.value && files.value.length > 0 ? text.tooShort : text.needMore
}

function ModelNote() {
  const report = modelReport.value
  if (!report) return null
  const words =
    report.downloadedBytes === 0 ? download.fromCache(report.cachedBytes) : download.done(report.totalBytes)
  const kept = report.downloadedBytes === 0 ? '' : report.kept ? download.keptForNextTime : download.notKept
  return (
    <p class="note" data-testid="model-report" data-cached={report.downloadedBytes === 0}>
      {words} {kept} {pageKept.value && (report.kept || report.downloadedBytes === 0) && download.pageKept}
    </p>
  )
}

function Samples() {
  return (
    <div class="field">
      <p class="note">{text.sampleLead}</p>
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
    </div>
  )
}

function Paste() {
  const pasted = useSignal('')
  return (
    <div class="field">
      <label class="note" for="paste">
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
