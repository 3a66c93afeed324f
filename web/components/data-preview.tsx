/** What became of the text: each file with what was skipped and why, the totals, and the examples one by one. */
import { count } from '../format.ts'
import { drawsPictures } from '../state/medium.ts'
import { removeFile } from '../state/reading.ts'
import { dataReport, folderNote } from '../state/store.ts'
import { data as text } from '../strings/data.ts'
import type { FileReport } from '../worker/api.ts'
import { ExamplePager } from './example-pager.tsx'
import { BigNumber } from './facts.tsx'
import { PictureGrid } from './picture-grid.tsx'

const SHOWN_SKIPPED_ROWS = 200

export function DataPreview() {
  const report = dataReport.value
  if (!report) return null
  const total = report.trainExamples + report.heldOutExamples
  return (
    <section class="card" data-testid="data-preview" aria-labelledby="files-title">
      <h2 id="files-title">{text.filesTitle}</h2>
      {folderNote.value && <p class="note">{folderNote.value}</p>}
      <ul class="files">
        {report.files.map((file, index) => (
          <FileEntry
            key={`${index} ${file.name}`}
            file={file}
            index={index}
            windowTokens={report.windowTokens}
          />
        ))}
      </ul>
      {report.documents > 0 && (
        <>
          <dl class="numbers">
            <BigNumber name={text.documents} value={count(report.documents)} testId="data-documents" />
            <BigNumber name={text.examples} value={count(report.trainExamples)} testId="data-examples" />
            <BigNumber name={text.heldOut} value={count(report.heldOutExamples)} testId="data-held-out" />
            {!drawsPictures.value && (
              <BigNumber name={text.tokens} value={count(report.tokens)} testId="data-tokens" />
            )}
          </dl>
          <p class="note">{text.explanation(report.windowTokens)}</p>
          {total > 0 &&
            (drawsPictures.value ? <PictureGrid total={total} /> : <ExamplePager total={total} />)}
        </>
      )}
    </section>
  )
}

interface FileEntryProps {
  readonly file: FileReport
  readonly index: number
  readonly windowTokens: number
}

function FileEntry({ file, index, windowTokens }: FileEntryProps) {
  const { skipped, problem } = file
  return (
    <li class="file" data-testid="data-file-entry">
      <div>
        <div class="file-name">{file.name}</div>
        <div class="file-facts">
          {problem ? text.fileUnused : text.fileFacts(file.fileBytes, file.examples, file.tokens)}
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
      {file.fullRows > 0 && <p class="note file-note">{text.fullRows(file.fullRows, windowTokens)}</p>}
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
