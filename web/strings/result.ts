/** The merged adapter beside the others. */
import { count, counted, percent, rate } from '../format.ts'
import { byMedium } from './by-medium.ts'

const text = {
  title: {
    waiting: 'Waiting for the merged adapter',
    ready: 'The merged adapter is here',
    kept: 'Kept on this device',
    withdrawn: 'Your update is out of the room',
  },
  leadKept:
    'You have sent nothing. Your adapter works here all the same, and you can still send it as long as the room is open.',
  leadWithdrawn: {
    participant:
      'The relay has deleted it; what is published from now on is as if you had never sent it. Your adapter still works here, and you can send it again while the room is open.',
    host: 'The host has taken it out; what is published from now on is as if you had never sent it. Your adapter still works here. Ask the host before you send it again.',
  },
  backToReview: 'Review it again',
  leadWaiting: (missing: number | null) =>
    missing === null || missing === 0
      ? 'The relay is merging your update.'
      : `The next version comes after ${counted(missing, 'more update')}.`,
  leadReady: (contributions: number) =>
    `It combines ${counted(contributions, 'update')}. Compare it with yours.`,
  versionFacts: (version: number, contributions: number) =>
    `Version ${count(version)} · ${counted(contributions, 'update')}`,
  noVersion: 'Each version is shown here when it comes; you may close the tab and return.',
  notYours: 'This version was published before your update arrived; yours comes with a later one.',
  lossTitle: 'On your held-out text',
  lossLead: (tokens: number) =>
    `Mean loss over ${counted(tokens, 'token')} that training did not see, in nats a token. Lower is better.`,
  lossLeadEmpty: 'Mean loss in nats a token. Lower is better.',
  names: { base: 'Base model', own: 'Your adapter', merged: 'Merged adapter' },
  nameColumn: 'Model',
  lossColumn: 'Loss',
  changeColumn: 'Change',
  change: (delta: number) => `${delta < 0 ? '−' : '+'}${Math.abs(delta).toFixed(3)}`,
  measuring: (fraction: number) => `measuring, ${percent(fraction)}`,
  notMeasured: 'not measured yet',
  noMerged: 'comes with the next version',
  promptTitle: 'Let all three write',
  prompt: 'Prompt',
  promptDefault: 'It was a dark night, and',
  generate: 'Write',
  stop: 'Stop',
  writing: 'Writing…',
  empty: 'Nothing written yet.',
  generatedFacts: (tokens: number, perSecond: number) =>
    `${counted(tokens, 'token')} · ${rate(perSecond)} tokens/s`,
  modelNote: 'The base model is small: expect fluent sentences, not sense.',
  downloadTitle: 'Take it with you',
  downloadLead:
    'The adapters are small and need the base model beside them; the whole model needs nothing else.',
  downloads: {
    peft: { name: 'PEFT adapter', note: 'a zip; Python’s peft loads the folder in it' },
    gguf: { name: 'GGUF adapter', note: 'for llama.cpp, with --lora' },
    merged: { name: 'Whole model', note: 'a zip in Hugging Face’s layout, 16-bit numbers' },
  },
  downloadOf: { merged: 'The merged adapter', own: 'Your adapter' },
  downloadLabel: (what: string, which: string) => `${what}: ${which}`,
  downloadPacking: 'Packing the file…',
  downloadReceipt: 'Your receipt',
  downloadReceiptNote: 'a text file that says what the relay accepted, and when',
  downloadReceiptName: 'Receipt',
  versionsTitle: 'Published versions',
  versionsNone: 'None yet',
  versionsNoneNote: 'The newest will stand first.',
  versionLine: (version: number, contributions: number) =>
    `Version ${count(version)} · ${counted(contributions, 'update')}`,
  versionRetired: 'erased by the relay: an update in it was taken back',
  versionCurrent: 'shown here',
  versionShow: 'Compare with this one',
  forgetTitle: 'On a shared computer',
  forgetLead:
    'This browser still keeps your text and your adapter, for the comparison after a reload, and the base model for the next visit.',
  forget: 'Erase everything from this computer',
  forgetConfirm:
    'Erase your text, your adapter and receipt, and the base model? Downloads you made stay. What you have sent stays with the relay. If another tab of this browser takes part, it loses its place as well.',
  forgetYes: 'Erase everything',
  forgetNo: 'Keep it',
  forgotten: 'Erased. You may close this tab; nothing of it is left in this browser.',
  forgetting: 'Erasing…',
}

/** Where the model learns from pictures. */
const pictures = {
  lossTitle: 'On your held-out pictures',
  lossLead: (pictures: number) =>
    `Mean squared error over ${counted(pictures, 'view')} of pictures that training did not see, with more and with less noise. Lower is better.`,
  lossLeadEmpty: 'Mean squared error. Lower is better.',
  promptTitle: 'Let all three draw',
  modelNote: 'The base model is small: expect simple shapes and colours.',
  forgetLead:
    'This browser still keeps your pictures and your adapter, for the comparison after a reload, and the base model for the next visit.',
  forgetConfirm:
    'Erase your pictures, your adapter and receipt, and the base model? Downloads you made stay. What you have sent stays with the relay. If another tab of this browser takes part, it loses its place as well.',
}

export const result = byMedium(text, pictures)
