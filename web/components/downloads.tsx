/** What a person may take with them: both adapters in every format, the receipt. */
import { downloadAdapter, downloadReceipt, packing } from '../state/comparing.ts'
import { drawsPictures } from '../state/medium.ts'
import { loadedVersion, receipt } from '../state/store.ts'
import { result as text } from '../strings/result.ts'
import type { ExportFormat } from '../worker/api.ts'

const FORMATS: readonly ExportFormat[] = ['peft', 'gguf', 'merged']
/** llama.cpp draws nothing. */
const PICTURE_FORMATS: readonly ExportFormat[] = ['peft', 'merged']

export function Downloads() {
  return (
    <section class="card" aria-labelledby="download-title">
      <div class="screen-head">
        <h2 id="download-title">{text.downloadTitle}</h2>
        <p class="note">{text.downloadLead}</p>
      </div>
      {loadedVersion.value && <DownloadsOf which="merged" />}
      <DownloadsOf which="own" />
      {receipt.value && (
        <div class="downloads">
          <h3 class="writing-name">{text.downloadReceipt}</h3>
          <div class="download">
            <button
              type="button"
              class="button button-small"
              data-testid="download-receipt"
              onClick={downloadReceipt}
            >
              {text.downloadReceiptName}
            </button>
            <span class="note">{text.downloadReceiptNote}</span>
          </div>
        </div>
      )}
      <p class="note" role="status">
        {packing.value && text.downloadPacking}
      </p>
    </section>
  )
}

function DownloadsOf({ which }: { readonly which: 'own' | 'merged' }) {
  return (
    <div class="downloads">
      <h3 class="writing-name">{text.downloadOf[which]}</h3>
      {(drawsPictures.value ? PICTURE_FORMATS : FORMATS).map((format) => {
        const { name, note } = text.downloads[format]
        return (
          <div class="download" key={format}>
            <button
              type="button"
              class="button button-small"
              aria-label={text.downloadLabel(text.downloadOf[which], name)}
              data-testid={format === 'peft' ? `download-${which}` : `download-${which}-${format}`}
              disabled={packing.value !== null}
              onClick={() => void downloadAdapter(which, format)}
            >
              {name}
            </button>
            <span class="note">{note}</span>
          </div>
        )
      })}
    </div>
  )
}
