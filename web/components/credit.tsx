/** Who made the pictures, on what terms, and what was changed: it stands where they are shown. */
import type { PictureCredit } from '../../models/catalog/picture-samples.ts'
import { pictures as text } from '../strings/pictures.ts'

export function Credit({ credit }: { readonly credit: PictureCredit }) {
  return (
    <p class="note" data-testid="picture-credit">
      {text.sampleCredit(credit.attribution)} {credit.changes}{' '}
      <a href={credit.licenseUrl} rel="noreferrer" target="_blank">
        {text.sampleLicense}
      </a>
    </p>
  )
}
