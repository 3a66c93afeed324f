/** The newest version's pictures under the base model's, a column a caption. */
import { mergedPictures } from '../../state/host/drawing.ts'
import { newestVersion } from '../../state/host/host-store.ts'
import { sampleCredit } from '../../state/picture-samples.ts'
import { pictures as text } from '../../strings/pictures.ts'
import { Credit } from '../credit.tsx'
import { PixelPicture } from '../pixel-picture.tsx'

export function MergedPictures() {
  const shown = mergedPictures.value
  if (!newestVersion.value) return <p class="note">{text.hostNone}</p>
  if (!shown) return <p class="note">{text.drawing}</p>
  const rows = [
    { name: text.columns.base, pictures: shown.base },
    { name: text.hostVersion(shown.version), pictures: shown.merged },
  ]
  return (
    <>
      <table class="drawings" data-testid="merged-pictures" data-version={shown.version}>
        <caption class="visually-hidden">{text.tableCaption}</caption>
        <thead>
          <tr>
            <td />
            {shown.captions.map((caption) => (
              <th key={caption} scope="col">
                {caption}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, pictures }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {shown.captions.map((caption, i) => (
                <td key={caption} class="drawings-cell">
                  <PixelPicture pixels={pictures[i]} side={shown.side} label={text.cellAlt(caption, name)} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p class="note">{text.modelCredit}</p>
      <Credit credit={sampleCredit} />
    </>
  )
}

export function MergedPicturesCard() {
  return (
    <section class="card" aria-labelledby="merged-pictures-title">
      <div class="screen-head">
        <h2 id="merged-pictures-title">{text.hostTitle}</h2>
        <p class="note">{text.hostLead}</p>
      </div>
      <MergedPictures />
    </section>
  )
}
