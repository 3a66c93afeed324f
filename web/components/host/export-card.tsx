/** Everything of the room, to keep and to show: one by one or as one zip. */

import {
  exporting,
  saveAdapter,
  saveAuditLog,
  saveEverything,
  saveManifest,
  saveReport,
} from '../../state/host/exporting.ts'
import { newestVersion } from '../../state/host/host-store.ts'
import { console as text } from '../../strings/host.ts'

export function ExportCard() {
  const busy = exporting.value
  return (
    <section class="card" aria-labelledby="export-title">
      <div class="screen-head">
        <h2 id="export-title">{text.exportTitle}</h2>
        <p class="note">{text.exportLead}</p>
      </div>
      <div class="actions">
        <button
          type="button"
          class="button button-primary"
          data-testid="host-export"
          disabled={busy}
          onClick={() => void saveEverything()}
        >
          {text.exportAll}
        </button>
        <Small name={text.exportReport} testId="host-export-report" onClick={saveReport} />
        {newestVersion.value && (
          <Small name={text.exportAdapter} testId="host-export-adapter" onClick={saveAdapter} />
        )}
        <Small name={text.exportAudit} testId="host-export-audit" onClick={saveAuditLog} />
        <Small name={text.exportManifest} testId="host-export-manifest" onClick={saveManifest} />
      </div>
      <p class="note" role="status">
        {busy ? text.exporting : newestVersion.value ? '' : text.exportNoVersion}
      </p>
    </section>
  )
}

interface SmallProps {
  readonly name: string
  readonly testId: string
  readonly onClick: () => unknown
}

function Small({ name, testId, onClick }: SmallProps) {
  return (
    <button
      type="button"
      class="button button-small"
      data-testid={testId}
      disabled={exporting.value}
      onClick={() => void onClick()}
    >
      {name}
    </button>
  )
}
