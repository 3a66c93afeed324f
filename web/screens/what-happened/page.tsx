/** The round as a picture, its record, and the leak lesson: for participants, host and projector alike. */
import { Footer } from '../../components/footer.tsx'
import { Mark } from '../../components/mark.tsx'
import { ProblemBanner } from '../../components/problem.tsx'
import { manifest } from '../../state/store.ts'
import { events } from '../../state/what-happened/following.ts'
import { shell } from '../../strings/shell.ts'
import { happened as text } from '../../strings/what-happened.ts'
import { Lesson } from './lesson.tsx'
import { Picture } from './picture.tsx'
import { Record } from './record.tsx'

/** What needs the record comes all at once, and nothing that is in sight moves by it: the footer begins below. */
export function WhatHappened() {
  const room = manifest.value
  const isThere = room !== null && events.value.length > 0
  return (
    <div class="page" data-testid="page" data-at="what-happened">
      <a class="skip" href="#main">
        {shell.skip}
      </a>
      <header class="header">
        <Mark />
        <span class="header-name">{shell.name}</span>
        <span class="header-room">{room?.title}</span>
      </header>
      <main class="main" id="main">
        <ProblemBanner />
        <section class="screen">
          <div class="screen-head">
            <h1 tabIndex={-1}>{text.title}</h1>
            <p class="lead">{isThere ? text.lead : text.opening}</p>
          </div>
          {isThere && (
            <>
              <Picture />
              <section class="card" aria-labelledby="steps-title">
                <h2 id="steps-title">{text.stepsTitle}</h2>
                <ol class="sentences">
                  {text.steps.map((sentence) => (
                    <li key={sentence}>{sentence}</li>
                  ))}
                </ol>
              </section>
              <Record />
              <Lesson />
            </>
          )}
        </section>
      </main>
      <Footer />
    </div>
  )
}
