/** The invitation. */
import { bytes, count, counted, parameters } from '../format.ts'
import { byMedium } from './by-medium.ts'

const text = {
  eyebrow: 'You are invited to train together',
  lead: 'This tab fine-tunes a model on text of yours. The text stays on this device. One small update leaves it, and only after you have reviewed it.',
  leadInRounds:
    'This tab fine-tunes a model on text of yours. The text stays on this device. One small update a round leaves it, and only after you have reviewed it.',
  model: 'Base model',
  modelFacts: (size: number, licence: string, numbers?: number) =>
    [numbers && `${parameters(numbers)} parameters`, bytes(size), `licence ${licence}`]
      .filter(Boolean)
      .join(' · '),
  training: 'Training',
  trainingFacts: (steps: number, batch: number, tokens: number) =>
    `${counted(steps, 'step')} of ${counted(batch, 'example')}, up to ${count(tokens)} tokens each`,
  publishing: 'Publishing',
  publishingFacts: (every: number) =>
    every === 1
      ? 'The relay publishes a new version after every single update.'
      : `The relay publishes a new version after every ${count(every)} updates, the rest when the host closes the room.`,
  publishingWarning:
    'Whoever compares two versions can then work out what one person sent. Ask the host to publish in batches if that matters to you.',
  closed:
    'The host has closed this room, so nothing more is accepted; what it has published can still be downloaded.',
  publishedTitle: 'Published so far',
  publishedFacts: (version: number, contributions: number) =>
    `Version ${count(version)}, merged from ${counted(contributions, 'update')}. A PEFT adapter is these files in one folder.`,
  publishedFile: (name: string, size: number) => `${name} (${bytes(size)})`,
  device: 'This device',
  deviceChecking: 'Measuring what runs fastest here…',
  deviceNotes: {
    webgpu: 'The graphics processor trains. Keep this tab open and visible until you have sent.',
    software: 'WebGPU is emulated by the processor here. It works, but slowly.',
    half: 'Where that is quicker or smaller, it holds numbers in 16 bits and adds them up in 32.',
    other: 'The processor trains. That is slower than a graphics processor, but gives the same result.',
    'no-webgpu':
      'This browser has no WebGPU, so the processor trains: slower than a graphics processor, with the same result.',
    'one-thread':
      'This browser gives no SharedArrayBuffer, so one thread of the processor trains: slower than several, with the same result.',
    'no-webgpu-one-thread':
      'This browser has neither WebGPU nor SharedArrayBuffer, so one thread of the processor trains: slower, with the same result.',
    'no-simd': 'Its WebAssembly has no SIMD, so each step takes about twice as long.',
    phone: 'On a phone, keep the screen on and this page in front until you have sent.',
  },
  deviceForced: (backend: string) => `The address of this page asks for ${backend}.`,
  insecure:
    'This page came over plain HTTP, so the browser withholds the graphics processor and threads: training works, but slowly; ask the host for an https:// address.',
  fewerSteps: (steps: number, planned: number) =>
    `The address of this page asks for ${counted(steps, 'step')} instead of the room’s ${count(planned)}.`,
  stepsTitle: 'What will happen',
  whatHappens: [
    ['Load the model', 'It is downloaded once, checked and kept in this browser.'],
    ['Choose your text', 'It is read in this tab and goes nowhere else.'],
    ['Train', 'An adapter, a small add-on to the model, learns from your text.'],
    ['Review and send', 'You see what leaves this device before it does. Then you may close the tab.'],
  ] as readonly (readonly [string, string])[],
  start: 'Join',
  code: 'Join code',
  codeNote: 'This room asks for the code that the host shows. Capital and small letters are the same.',
  starting: 'Opening the device…',
  continuing: 'Continuing where you left off',
  continuingLead: 'This browser kept your text and your progress. The model is loaded again, then you go on.',
}

/** Where the model learns from pictures. */
const pictures = {
  lead: 'This tab fine-tunes a model that draws, on pictures of yours. The pictures stay on this device. One small update leaves it, and only after you have reviewed it.',
  leadInRounds:
    'This tab fine-tunes a model that draws, on pictures of yours. The pictures stay on this device. One small update a round leaves it, and only after you have reviewed it.',
  trainingFacts: (steps: number, batch: number) =>
    `${counted(steps, 'step')} of ${counted(batch, 'picture')}`,
  whatHappens: [
    ['Load the model', 'It is downloaded once, checked and kept in this browser.'],
    ['Choose your pictures', 'They are read in this tab and go nowhere else.'],
    ['Train', 'An adapter, a small add-on to the model, learns from your pictures.'],
    ['Review and send', 'You see what leaves this device before it does. Then you may close the tab.'],
  ] as readonly (readonly [string, string])[],
  continuingLead:
    'This browser kept your pictures and your progress. The model is loaded again, then you go on.',
}

export const join = byMedium(text, pictures)
