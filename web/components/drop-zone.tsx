/** Files and folders: dropped or picked. The inputs are hidden; the buttons press them. */
import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { fromDrop, fromInput, PICTURES, TEXTS } from '../state/dropped.ts'
import { drawsPictures } from '../state/medium.ts'
import { addFiles } from '../state/reading.ts'
import { data as text } from '../strings/data.ts'

/** What a file chooser offers first. */
export const ACCEPT = {
  text: '.txt,.md,.markdown,.jsonl,.csv,text/plain,text/markdown,text/csv',
  pictures: 'image/png,image/jpeg,image/webp,.png,.jpg,.jpeg,.webp,.txt,.jsonl,.json,.safetensors',
}

const rule = () => (drawsPictures.peek() ? PICTURES : TEXTS)

/** Phones have no folders to pick. */
const picksFolders = () =>
  'webkitdirectory' in HTMLInputElement.prototype && !/Android|iPhone|iPad/.test(navigator.userAgent)

export function DropZone() {
  const over = useSignal(false)
  const files = useRef<HTMLInputElement>(null)
  const folder = useRef<HTMLInputElement>(null)
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
  const take = (input: HTMLInputElement) => {
    void addFiles(fromInput(input.files, rule()))
    input.value = ''
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is an extra; the buttons inside do the same
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
        fromDrop(event.dataTransfer, rule()).then(addFiles, () =>
          addFiles({ files: [], leftOut: 1, tooMany: false }),
        )
      }}
    >
      <span class="drop-title">{text.drop}</span>
      <span class="note">{text.dropFormats}</span>
      <input
        ref={files}
        class="visually-hidden"
        type="file"
        multiple
        accept={drawsPictures.value ? ACCEPT.pictures : ACCEPT.text}
        tabIndex={-1}
        aria-label={text.pick}
        data-testid="data-file"
        onChange={(event) => take(event.currentTarget)}
      />
      <input
        ref={(input) => {
          folder.current = input
          // Known to every desktop browser, to no list of JSX attributes.
          input?.setAttribute('webkitdirectory', '')
        }}
        class="visually-hidden"
        type="file"
        tabIndex={-1}
        aria-label={text.pickFolder}
        data-testid="data-folder"
        onChange={(event) => take(event.currentTarget)}
      />
      <div class="actions">
        <button type="button" class="button" data-testid="data-pick" onClick={() => files.current?.click()}>
          {text.pick}
        </button>
        {picksFolders() && (
          <button
            type="button"
            class="button button-quiet"
            data-testid="data-pick-folder"
            onClick={() => folder.current?.click()}
          >
            {text.pickFolder}
          </button>
        )}
      </div>
    </div>
  )
}
