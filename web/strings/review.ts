/** Before anything leaves this device. */
import { privacyInWords } from '../../relay/protocol/privacy.ts'
import { bytes, count, counted, loss, significant } from '../format.ts'
import type { Exposure } from '../state/exposure.ts'
import { byMedium } from './by-medium.ts'

const text = {
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
  sizeFacts: (short: string, exact: string) => `${short} (${exact} bytes)`,
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
  whoNames: { host: 'The host', participants: 'Other participants', others: 'Anybody else' },
  who: (exposure: Exposure): string => {
    switch (exposure.to) {
      case 'host':
        return `Receives your update by itself${exposure.approves ? ' and decides whether it counts' : ''}. Numbers learnt from your data can give parts of these away to someone who tries hard. Send only what you would let the host see traces of.`
      case 'participants':
        switch (exposure.how) {
          case 'each':
            return 'This room publishes after every single update: whoever compares two versions can work out what you sent, and try as hard as the host could.'
          case 'batch':
            return `Receive published versions only. This room publishes after every ${count(exposure.every)} updates, so that no version differs from the one before by yours alone; the last version, when the host closes the room, may hold fewer. People who put their own updates together can work out what is left.`
          case 'round':
            return `Receive published versions only. A round is published with ${counted(exposure.quorum, 'update')}, and at its deadline with fewer: in the worst case with yours alone.`
          case 'private':
            return `Receive one version, when the host closes the room, with noise that hides any single update: whether yours was among them changes what they can conclude by a factor of e^${exposure.epsilon} at most (ε = ${exposure.epsilon}, δ = ${exposure.delta}).${exposure.figures ? ` ${privacyInWords(exposure.figures)}` : ''}`
        }
        break
      case 'others':
        return exposure.encrypted
          ? 'Nobody else is sent anything. But a version is a file: whoever has it can pass it on, and nothing recalls it.'
          : 'This page came without encryption: whoever is on the same network can read and change what passes. A version is a file, too: whoever has it can pass it on.'
    }
    return exposure satisfies never
  },
  tensorsTitle: (tensors: number) => `All ${counted(tensors, 'tensor')}, one by one`,
  tensorName: 'Tensor',
  tensorNumbers: 'Numbers',
  tensorNorm: 'Length',
  tensorLargest: 'Largest',
  lengthName: 'Length of the change',
  length: (norm: number, trained: number) =>
    norm < trained
      ? `${significant(norm)}, clipped from ${significant(trained)}`
      : `${significant(trained)}: the L2 norm of all its numbers`,
  lengthLimit: (most: number) => `This room accepts up to ${significant(most)}.`,
  saveUpdate: 'Save these very bytes as a file',
  choicesTitle: 'Your choices',
  clip: 'Clip the change',
  clipNote:
    'A shorter change gives less of your data away. The merged adapter learns less from you, too; the direction stays.',
  clipTo: 'Longest change',
  packing: 'Packing the update…',
  send: (size: number) => `Send this update (${bytes(size)})`,
  keep: 'Keep it here, do not send',
  leave: 'Delete it and leave',
  leaveConfirm: 'Leave and delete what was trained?',
  leaveYes: 'Leave and delete',
  leaveNo: 'Stay',
}

/** Where the model learns from pictures. */
const pictures = {
  stays: [
    'your pictures and their captions',
    'file names, and what else the files hold',
    'the loss on your pictures',
    'your name: the relay is told none',
  ],
}

export const review = byMedium(text, pictures)
