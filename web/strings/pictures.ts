/** Where the model learns from pictures: the data it will see, and what it draws. */
import { count, counted, duration } from '../format.ts'

export const pictures = {
  gridTitle: 'What the model will see',
  gridLead: (side: number) =>
    `The middle of each picture, at the model’s size of ${side} x ${side} pixels, with its caption.`,
  edit: 'Edit captions',
  editDone: 'Done',
  editNote: 'Say what each picture shows in a few words. Enter takes them, Escape leaves the old ones.',
  editLabel: (name: string) => `Caption of ${name}`,
  heldOut: 'held out',
  page: (from: number, to: number, total: number) => `${count(from)} to ${count(to)} of ${count(total)}`,
  previous: 'Previous',
  next: 'Next',
  problemNone: (name: string) =>
    `Nothing of ${name} can be used; the reasons are below. Add png, jpg or webp pictures with captions.`,
  additionName: (first: string, files: number) =>
    files === 1 ? first : `${first} and ${counted(files - 1, 'more file')}`,
  readingFiles: (done: number, total: number) =>
    `Reading your pictures: ${count(done)} of ${counted(total, 'file')}…`,
  sampleCredit: (attribution: string) => `${attribution}.`,
  sampleLicense: 'Licence',
  samplePictures: (number: number) => counted(number, 'picture'),

  drawTitle: 'A picture on the way',
  drawLead: 'The same caption and the same noise, drawn by the adapter as it is by now.',
  drawCaption: 'Caption',
  drawNow: 'Draw now',
  drawing: 'Drawing…',
  drawNone: 'The first picture comes after a few steps.',
  drawBefore: 'Before training',
  drawAfter: (step: number) => `After step ${count(step)}`,
  drawAlt: (caption: string, when: string) => `${caption}, ${when.toLowerCase()}`,

  captions: 'Captions, one a line',
  captionsNote: (most: number) => `Up to ${most}. Short names of things work best: this model knows emoji.`,
  seed: 'Noise',
  seedNote: 'The same number gives the same noise, so all three begin alike.',
  guidance: 'Guidance',
  guidanceNote: 'How much the caption counts. 1 is as learned; 2 or 3 draw it more clearly.',
  steps: 'Steps',
  stepsNote: 'From noise to picture. 20 are enough; fewer are quicker and cruder.',
  draw: 'Draw',
  stop: 'Stop',
  drawStep: (step: number, steps: number) => `step ${count(step)} of ${count(steps)}`,
  tableCaption: 'Each caption drawn by each model from the same noise',
  captionColumn: 'Caption',
  columns: { base: 'Base', own: 'Yours', merged: 'Merged' },
  cellAlt: (caption: string, which: string) => `${caption}, drawn by: ${which}`,
  empty: 'Nothing drawn yet.',
  hostTitle: 'What the merged model draws',
  hostLead:
    'The newest version beside the base model: the same captions, the same noise. The projector shows it too.',
  hostNone: 'The first pictures come with the first version.',
  hostVersion: (version: number) => `Version ${count(version)}`,
  save: 'Save as PNG',

  seconds: (seconds: number) => `drawn in ${duration(seconds)}`,
  adapterCredit:
    'An adapter that learned from the sample pictures carries their credit, and so do pictures drawn with it.',
  modelCredit: 'The base model learned from Noto Emoji, © Google LLC, Apache License 2.0.',
}

/** Captions to begin with: of things that the model knows. */
export const DEFAULT_CAPTIONS = ['grinning face', 'red apple', 'dog face', 'automobile'] as const
