/** Every tensor of the update, for whoever wants to see what "numbers" means; and the bytes themselves. */
import { count, significant } from '../format.ts'
import { saveReviewedBytes } from '../state/reviewing.ts'
import type { UpdateSummary } from '../state/store.ts'
import { review as text } from '../strings/review.ts'

export function TensorTable({ packed }: { readonly packed: UpdateSummary }) {
  return (
    <details class="tensors" data-testid="review-tensors">
      <summary>{text.tensorsTitle(packed.tensors.length)}</summary>
      <section
        class="tensors-box"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling box must be reachable by keyboard
        tabIndex={0}
        aria-label={text.tensorsTitle(packed.tensors.length)}
      >
        <table class="tensors-table">
          <thead>
            <tr>
              <th scope="col">{text.tensorName}</th>
              <th scope="col">{text.tensorNumbers}</th>
              <th scope="col">{text.tensorNorm}</th>
              <th scope="col">{text.tensorLargest}</th>
            </tr>
          </thead>
          <tbody>
            {packed.tensors.map(({ name, numbers, norm, largest }) => (
              <tr key={name}>
                <th scope="row">{name.replace(/^base_model\.model\./, '')}</th>
                <td>{count(numbers)}</td>
                <td>{significant(norm)}</td>
                <td>{significant(largest)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <div class="actions">
        <button
          type="button"
          class="button button-small"
          data-testid="review-save"
          onClick={saveReviewedBytes}
        >
          {text.saveUpdate}
        </button>
      </div>
    </details>
  )
}
