/** Who is in the room, or was and has sent: by pseudonym, with stage, progress and speed. */
import type { ParticipantView } from '../../../relay/protocol/host.ts'
import { overview } from '../../state/host/host-store.ts'
import { pseudonym } from '../../state/pseudonym.ts'
import { console as text } from '../../strings/host.ts'

export function PeopleCard() {
  // By name: a row then stays where it was when its stage changes.
  const people = (overview.value?.participants ?? [])
    .map((person) => ({ ...person, name: pseudonym(person.participant) }))
    .sort((a, b) => a.name.localeCompare(b.name))
  return (
    <section class="card" aria-labelledby="people-title">
      <div class="screen-head">
        <h2 id="people-title">{text.peopleTitle}</h2>
        <p class="note">{text.peopleLead}</p>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling box must be reachable by keyboard */}
      <section class="host-list" tabIndex={0} aria-label={text.peopleList}>
        {people.length === 0 ? (
          <p class="host-list-empty">{text.peopleNone}</p>
        ) : (
          <table class="host-table" data-testid="host-people">
            <thead>
              <tr>
                <th scope="col">{text.columnName}</th>
                <th scope="col">{text.columnStage}</th>
                <th scope="col">{text.columnProgress}</th>
                <th scope="col" class="host-figure">
                  {text.columnSpeed}
                </th>
              </tr>
            </thead>
            <tbody>
              {people.map((person) => (
                <Person key={person.participant} person={person} />
              ))}
            </tbody>
          </table>
        )}
      </section>
    </section>
  )
}

function Person({ person }: { readonly person: ParticipantView & { readonly name: string } }) {
  const { name, connected, progress, digest } = person
  const stage = digest !== null ? 'sent' : connected ? (progress?.stage ?? 'joined') : 'away'
  const { step, steps, tokensPerSecond } = progress ?? {}
  const training = digest === null && step !== undefined && steps !== undefined
  return (
    <tr data-testid="host-person" data-stage={stage}>
      <th scope="row">{name}</th>
      <td>
        <span class="host-stage" data-stage={stage}>
          {text.stages[stage]}
        </span>
      </td>
      <td class="host-progress">
        {training && (
          <>
            <progress max={steps} value={step} aria-label={`${name}: ${text.stepFacts(step, steps)}`} />
            <span class="note">{text.stepFacts(step, steps)}</span>
          </>
        )}
      </td>
      <td class="host-figure">
        {training && tokensPerSecond !== undefined ? text.speed(tokensPerSecond) : ''}
      </td>
    </tr>
  )
}
