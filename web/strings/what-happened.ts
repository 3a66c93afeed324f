/** "What happened to my data?": the round as a picture, for the whole class. */
import { bytes, clockTime, count, counted } from '../format.ts'

export const happened = {
  title: 'What happened to my data?',
  lead: 'Your text never left your device. What left it, where it went and what became of it, as the relay’s own record has it.',
  opening: 'Looking for the room…',
  pictureTitle: 'The round so far',
  pictureLabel: (connected: number, waiting: number, versions: number, withdrawn: number) =>
    [
      `${counted(connected, 'device')} connected.`,
      `${counted(waiting, 'update')} at the relay, in no version yet.`,
      `${counted(versions, 'version')} published.`,
      withdrawn > 0 ? `${counted(withdrawn, 'update')} taken back.` : '',
    ].join(' '),
  devices: 'Devices',
  devicesNote: 'texts stay here',
  relay: 'Relay',
  relayNote: 'updates, no texts',
  versions: 'Published',
  versionsNote: 'mixtures, for everyone',
  version: (version: number, updates: number) => `Version ${count(version)}: ${count(updates)}`,
  retired: (version: number) => `Version ${count(version)}: erased`,
  own: 'yours',
  ownNote: 'The square with a ring is your update.',
  connected: (connected: number) => `${counted(connected, 'device')} connected`,
  more: (more: number) => `and ${count(more)} more`,
  timeLabel: 'Moment of the round',
  timeWords: (shown: number, total: number) =>
    shown === total
      ? `Now: after ${counted(total, 'event')}`
      : `After ${count(shown)} of ${counted(total, 'event')}`,
  play: 'Play from the beginning',
  stop: 'Stop',
  now: 'To the present',
  eventsTitle: 'The record',
  eventsLead:
    'Each line of the room’s audit log, in words. Every line names the hash of the one before it; this page has checked all of them.',
  none: 'Nothing has happened yet.',
  at: (time: string) => clockTime(time),
  events: {
    created: () => 'The host opened the room.',
    accepted: (contribution: number, size: number, examples: number) =>
      `Update ${count(contribution)} arrived: ${bytes(size)}, made from ${counted(examples, 'example')}.`,
    approved: (contribution: number) => `The host let update ${count(contribution)} count.`,
    refused: () => 'An update was refused: it was damaged, or not of this room.',
    withdrawn: (contribution: number, by: 'participant' | 'host') =>
      by === 'host'
        ? `The host took update ${count(contribution)} out.`
        : `Update ${count(contribution)} was taken back by whoever had sent it.`,
    published: (version: number, updates: number) =>
      `Version ${count(version)} was published, mixed from ${counted(updates, 'update')}. From here on everyone can download it.`,
    retired: (version: number) =>
      `Version ${count(version)} was erased, because an update in it was taken back.`,
    'host-key-replaced': () => 'The host made a new key for the console; the old one no longer works.',
    'joining-closed': () => 'The host let nobody new in any more.',
    closed: () => 'The host closed the room.',
    other: () => 'Something happened that this page has no words for.',
  },
  stepsTitle: 'In four sentences',
  steps: [
    'Your text is read in your own tab, turned into numbers there, and stays there.',
    'Training changes an adapter: a few hundred thousand numbers beside the model. Only that change is sent, once a round.',
    'The relay checks it, keeps it, and mixes it with those of the others. The host can look at each one.',
    'What is published is the mixture. An update is made from your text, so something of it may still be in there: how much, the experiment below measures.',
  ],
}
