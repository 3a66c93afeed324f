/** Every version the room has published, newest first; any of them can be compared with. */
import { clockTime } from '../format.ts'
import { chosenVersion, latestVersion, loadedVersion, versions } from '../state/store.ts'
import { result as text } from '../strings/result.ts'

export function Versions() {
  const list = versions.value
  return (
    <section class="card" aria-labelledby="versions-title">
      <h2 id="versions-title">{text.versionsTitle}</h2>
      <ul class="files">
        {list.length === 0 && (
          <li class="file">
            <div>
              <div class="file-name">{text.versionsNone}</div>
              <div class="file-facts">{text.versionsNoneNote}</div>
            </div>
          </li>
        )}
        {list.toReversed().map((version) => (
          <li key={version.version} class="file" data-testid="version" data-version={version.version}>
            <div>
              <div class="file-name">{text.versionLine(version.version, version.contributions)}</div>
              <div class="file-facts">
                <time dateTime={version.createdAt}>{clockTime(version.createdAt)}</time>
              </div>
            </div>
            {version.retired ? (
              <span class="note" data-testid="version-retired">
                {text.versionRetired}
              </span>
            ) : loadedVersion.value?.digest === version.digest ? (
              <span class="note">{text.versionCurrent}</span>
            ) : (
              <button
                type="button"
                class="button button-small"
                data-testid="version-show"
                aria-label={`${text.versionShow}: ${text.versionLine(version.version, version.contributions)}`}
                onClick={() => {
                  chosenVersion.value = version === latestVersion.peek() ? null : version
                }}
              >
                {text.versionShow}
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}
