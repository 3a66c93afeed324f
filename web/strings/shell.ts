/** What stands around every screen. */
import { byMedium } from './by-medium.ts'

const text = {
  name: 'oneround',
  skip: 'Skip to the step',
  footer: 'Your text stays on this device. One update leaves it, and only after you have reviewed it.',
  footerInRounds:
    'Your text stays on this device. One update a round leaves it, and only after you have reviewed it.',
  hostSeesMeAs: (name: string) => `In the host’s list you are ${name}.`,
  hostWillSeeMe: 'In the host’s list you will have a made-up name.',
  whatHappened: 'What happened to my data? (opens in another tab)',
  loading: 'Loading…',
}

/** Where the model learns from pictures. */
const pictures = {
  footer: 'Your pictures stay on this device. One update leaves it, and only after you have reviewed it.',
  footerInRounds:
    'Your pictures stay on this device. One update a round leaves it, and only after you have reviewed it.',
}

export const shell = byMedium(text, pictures)

export const steps = {
  label: 'Steps',
  names: {
    join: 'Join',
    data: 'Your data',
    train: 'Train',
    review: 'Review',
    send: 'Send',
    result: 'Result',
  },
  position: (position: number, total: number, name: string) => `Step ${position} of ${total}: ${name}`,
  done: 'done',
}
