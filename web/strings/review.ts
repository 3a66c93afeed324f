/** Before anything leaves this device. */
import { bytes, count, counted, loss } from '../format.ts'

export const review = {
  title: 'Review what leaves this device',
  lead: 'Nothing has been sent yet.',
  trained: (steps: number, planned: number, stopped: boolean) =>
    stopped || steps < planned
      ? `Trained ${count(steps)} of ${counted(planned, 'step')}.`
      : `Trained all ${counted(planned, 'step')}.`,
  best: (value: number, step: number) =>
    `Best held-out loss ${loss(value)} at step ${count(step)}; that adapter is used.`,
  sentTitle: 'What is sent',
  size: 'Size',
  content: 'Content',
  contentFacts: (tensors: number, numbers: number) =>
    `${counted(tensors, 'tensor')}, ${count(numbers)} numbers: how the adapter changed from its common start`,
  encoding: 'Encoding',
  encodings: {
    i8: '8-bit numbers, randomly rounded, one scale for every 64',
    f16: '16-bit numbers',
    f32: '32-bit numbers',
  },
  examples: 'Example count',
  examplesFacts: (number: number) => `${counted(number, 'example')}: the weight of your update in the merge`,
  examplesLeftOut: 'left out: your update counts as one example',
  digest: 'SHA-256',
  manifestDigest: 'Room',
  manifestDigestFacts: 'the digest of this room’s manifest',
  includeExamples: 'Send the example count',
  includeExamplesNote:
    'Without it your update counts as one example, so the merged adapter learns less from you.',
  staysTitle: 'What stays here',
  stays: [
    'your text and its tokens',
    'file names',
    'the loss on your text',
    'your name: the relay is told none',
  ],
  addressNote: 'Like any server, the relay sees your network address.',
  whoTitle: 'Who could learn what from it',
  who: [
    [
      'The host',
      'Receives your update by itself. Numbers learnt from text can give parts of that text away to someone who tries hard. Send only what you would let the host see traces of.',
    ],
    [
      'Other participants',
      'Receive published versions only. A version combines the updates in it, and its factors are computed from theirs.',
    ],
    ['Later', 'Nothing recalls a version that somebody has already downloaded.'],
  ] as const,
  batch: (every: number) =>
    every === 1
      ? 'This room publishes after every single update: whoever compares two versions can work out what you sent.'
      : `This room publishes after every ${count(every)} updates, so that no version differs from the one before by yours alone; the last version, when the host closes the room, may hold fewer.`,
  packing: 'Packing the update…',
  send: (size: number) => `Send this update (${bytes(size)})`,
  leave: 'Leave without sending',
  leaveConfirm: 'Leave and delete what was trained?',
  leaveYes: 'Leave and delete',
  leaveNo: 'Stay',
}
