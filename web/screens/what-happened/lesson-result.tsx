/** The leak lesson's table: one row a model, a bar for the exposure, and how to read it. */
import type { LeakMeasure } from '../../../lab/leak/experiment.ts'
import { measuredCode, measures } from '../../state/what-happened/lesson.ts'
import { lesson as text } from '../../strings/lesson.ts'

export function LessonResult() {
  const rows = measures.value
  return (
    <>
      <div class="screen-head">
        <h3 class="writing-name">{text.resultTitle}</h3>
        <p class="note">{text.resultLead(rows[0].exposure.candidates)}</p>
      </div>
      <ul class="leaks">
        {rows.map((row) => (
          <Row key={row.condition} row={row} />
        ))}
      </ul>
      <div class="screen-head">
        <h3 class="writing-name">{text.readTitle}</h3>
        <ul class="stays">
          {text.read.map((sentence) => (
            <li key={sentence} class="note">
              {sentence}
            </li>
          ))}
        </ul>
      </div>
    </>
  )
}

function Row({ row }: { readonly row: LeakMeasure }) {
  const { rank, candidates, bits } = row.exposure
  const says = row.says.startsWith(measuredCode.value)
  return (
    <li class="leak" data-testid="leak" data-condition={row.condition} data-rank={rank} data-bits={bits}>
      <div class="leak-head">
        <span class="leak-name">{text.names[row.condition]}</span>
        <span>
          {text.columns.place}: <strong>{text.place(rank, candidates)}</strong>
        </span>
      </div>
      <svg class="leak-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="leak-ground" width={100} height={6} rx={1} />
        <rect class="leak-fill" width={(100 * bits) / Math.log2(candidates)} height={6} rx={1} />
      </svg>
      <dl class="leak-facts">
        <Fact name={text.columns.bits} value={text.bits(bits)} />
        <Fact name={text.columns.says} value={`${text.says(row.says)}${says ? ` ${text.saysSecret}` : ''}`} />
        <Fact name={text.columns.loss} value={text.loss(row.heldOutLoss)} />
      </dl>
      <p class="note">{text.notes[row.condition]}</p>
    </li>
  )
}

function Fact({ name, value }: { readonly name: string; readonly value: string }) {
  return (
    <div>
      <dt class="note">{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}
