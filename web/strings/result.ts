/** The merged adapter beside the others. */
import { count, counted, percent, rate } from '../format.ts'

export const result = {
  title: { waiting: 'Waiting for the merged adapter', ready: 'The merged adapter is here' },
  leadWaiting: (missing: number | null) =>
    `${missing === null || missing === 0 ? 'The relay is merging your update.' : `The next version comes after ${counted(missing, 'more update')}.`} This page shows it when it comes; you may also close the tab and return.`,
  leadReady: (contributions: number) =>
    `It combines ${counted(contributions, 'update')}. Compare it with yours.`,
  versionFacts: (version: number, contributions: number) =>
    `Version ${count(version)} · ${counted(contributions, 'update')}`,
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
    'A zip with a PEFT adapter. Python’s peft loads the unpacked folder on top of the base model.',
  downloadMerged: 'Download the merged adapter',
  downloadOwn: 'Download your adapter',
  forgetLead: 'This browser still keeps your text and your adapter, for the comparison after a reload.',
  forget: 'Delete them from this browser',
  forgotten: 'Deleted. This tab still works until you close it.',
}
