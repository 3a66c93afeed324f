/** The sample pictures, one button a set, with the credit that their licence asks for. */
import { addPictureSample } from '../state/picture-files.ts'
import { pictureSamples, sampleCredit } from '../state/picture-samples.ts'
import { data } from '../strings/data.ts'
import { pictures as text } from '../strings/pictures.ts'
import { Credit } from './credit.tsx'

export function PictureSamples() {
  return (
    <div class="field">
      <p class="note">{data.sampleLead}</p>
      <div class="samples">
        {pictureSamples.map((sample) => (
          <button
            key={sample.id}
            type="button"
            class="button sample"
            data-testid={`data-sample-${sample.id}`}
            onClick={() => void addPictureSample(sample)}
          >
            <span class="sample-title">{sample.title}</span>
            <span class="sample-author">{text.samplePictures(sample.captions.length)}</span>
          </button>
        ))}
      </div>
      <Credit credit={sampleCredit} />
    </div>
  )
}
