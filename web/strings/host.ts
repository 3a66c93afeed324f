/** The host's console, the projector included; what is chosen before a room opens stands in host-plan.ts. */
import {
  bytes,
  count,
  counted,
  duration,
  cosine as formatCosine,
  loss,
  percent,
  rate,
  significant,
} from '../format.ts'
import { roomDraws } from '../state/host/host-store.ts'
import { byMedium } from './by-medium.ts'

const words = {
  name: 'oneround host',
  skip: 'Skip to the console',
  rooms: 'All rooms',
  footer: 'Only whoever has the host’s link sees this console. Participants never do.',
  signOut: 'Forget the host token in this tab',

  tokenTitle: 'Are you the host?',
  tokenLead:
    'The relay printed a link to this console when it was started. Open that link, or paste it here. It is not the link that participants get.',
  tokenLabel: 'Host’s link or token',
  tokenOpen: 'Open the console',
  tokenWrong: 'This is not the token of this relay. Look at what the relay printed last.',

  homeTitle: 'Your rooms',
  homeLead: 'Each room has one model, one class, one merged result.',
  homeNone: 'There is no room yet.',
  homeOpen: 'Open a room',
  homeFacts: (connected: number, contributions: number, versions: number) => [
    `${count(connected)} in the room`,
    counted(contributions, 'contribution'),
    counted(versions, 'version'),
  ],
  rehearsalsTitle: 'Rehearsals',
  rehearsalsLead: 'Only you see these. What was sent in them counts nowhere else.',
  rehearsalsDelete: (rooms: number) =>
    rooms === 1 ? 'Delete the rehearsal' : `Delete all ${count(rooms)} rehearsals`,
  rehearsalsQuestion: (rooms: number) =>
    rooms === 1
      ? 'Delete this rehearsal, with all that is in it? This cannot be undone.'
      : `Delete all ${count(rooms)} rehearsals, with all that is in them? This cannot be undone.`,
  stateOpen: 'open',
  stateClosed: 'closed',

  hostKeyTitle: 'The key of this console',
  hostKeyLead:
    'Whoever has your link can do everything here. If somebody else has seen it, make a new key: the old one is refused at once, in other tabs and on other machines too. Participants notice nothing.',
  hostKeyMake: 'Make a new host key',
  hostKeyQuestion: 'Make a new key? Your other tabs and machines will ask for it.',
  hostKeyYes: 'Make a new key',
  hostKeyMaking: 'Making a new key…',
  hostKeyNew:
    'The new link to this console. It stands here until you leave this page; keep it as you kept the old one.',

  offline: 'The relay does not answer. What you see is the last it said; it is asked again by itself.',
  reading: 'Reading the room…',

  countIn: 'in the room',
  countTraining: 'training',
  countSent: 'sent',
  countWaiting: 'not merged yet',
  countVersion: 'version',
  countRound: 'round',

  inviteTitle: 'Invite',
  inviteLead: 'Scan the code, or type the address.',
  qrLabel: (address: string) => `QR code of the link ${address}`,
  code: 'Join code',
  codeNone: 'none: whoever knows the address may join',
  codeMake: 'Make a join code',
  codeRenew: 'New code',
  codeClear: 'No code',
  codeRenewQuestion:
    'Make a new code? The old code and links with it let nobody in any more. Whoever has joined stays.',
  codeRenewYes: 'Make a new code',
  onlyHere:
    'Only this computer can open this address. For a class, stop the relay and start it with --lan --https.',
  plainHttp:
    'The address is plain HTTP: browsers on other computers train without their graphics processor. Start the relay with --https to give it to them.',
  copy: 'Copy the link',
  copied: 'Copied.',
  copyFailed: 'This browser does not let the page copy; select the address instead.',
  projector: 'Projector view',
  projectorWindow: 'In a window of its own',
  endJoining: 'Close joining',
  endJoiningQuestion:
    'Close joining? Nobody new gets in, and this cannot be undone. Whoever is in may still send.',
  endJoiningYes: 'Close joining',
  joiningEnded: 'Joining is closed. Whoever is in the room may still send.',
  roomEnded: 'This room is closed. Nothing more is accepted; everything stays here to look at and export.',
  cancel: 'Cancel',

  peopleTitle: 'People',
  peopleLead: 'By names made from random numbers. Nobody else’s data, and nothing about it, comes here.',
  peopleList: 'List of people',
  peopleNone: 'Nobody has joined yet.',
  columnName: 'Name',
  columnStage: 'Stage',
  columnProgress: 'Progress',
  columnSpeed: 'Speed',
  stages: {
    joined: 'joined',
    loading: 'loading the model',
    data: 'choosing text',
    training: 'training',
    paused: 'paused',
    reviewing: 'reviewing',
    sending: 'sending',
    sent: 'sent',
    away: 'not connected',
  },
  stepFacts: (step: number, steps: number) => `step ${count(step)} of ${count(steps)}`,
  speed: (tokensPerSecond: number) => `${rate(tokensPerSecond)} tokens/s`,

  contributionsTitle: 'Contributions',
  contributionsLead: (every: number) =>
    every === 1
      ? 'A version is published after each.'
      : `A version is published after every ${count(every)}, and the rest when you publish or close.`,
  contributionsList: 'List of contributions',
  contributionsNone: 'None yet. A contribution appears here as soon as the relay has it safe.',
  columnExamples: 'Examples',
  columnNorm: 'Norm',
  normUnknown: 'not known',
  states: { merged: 'merged', counts: 'counts', undecided: 'waits for you' },
  remove: 'Remove',
  removeLabel: (number: number) => `Remove contribution ${count(number)}`,
  removeQuestion: (number: number, from: string) =>
    `Remove contribution ${count(number)} of ${from}? The relay erases it and every version that holds it, and merges the others anew. This cannot be undone; copies that people downloaded stay.`,
  removeYes: 'Remove it',
  approve: 'Let it count',
  approveLabel: (number: number) => `Let contribution ${count(number)} count`,
  preview: 'Compare',
  previewLabel: (number: number) => `Compare contribution ${count(number)} with the others`,
  previewFacts: (norm: number, medianNorm: number | null, cosine: number | null) =>
    medianNorm === null || cosine === null
      ? `Norm ${significant(norm)}. None counts yet that it could be compared with.`
      : `Norm ${significant(norm)}, the others’ median ${significant(medianNorm)}; cosine to their mean ${formatCosine(cosine)} (1: the same direction, 0: nothing in common, below 0: against them).`,
  publish: 'Publish now',
  publishQuestion: (waiting: number) =>
    waiting === 1
      ? 'Publish now? The new version differs from the last by a single contribution, so everyone can work out what that one person sent.'
      : `Publish a version with ${counted(waiting, 'more contribution')} now?`,
  publishYes: 'Publish',
  publishNothing: 'Nothing waits to be published.',
  publishing: 'Merging and publishing…',

  candidateWaiting: (contributions: number) =>
    `The next version, of ${counted(contributions, 'contribution')}, goes out once it is measured. Choose a text to measure on, below.`,
  candidateMeasuring: (contributions: number) =>
    `The next version, of ${counted(contributions, 'contribution')}, is measured here before it goes out.`,
  candidateHeld: (contributions: number, at: number, base: number) =>
    `The version of ${counted(contributions, 'contribution')} is held back: its loss on your text is ${loss(at)}, the base model’s ${loss(base)}. Remove what spoils it, wait for more, or publish it all the same.`,
  candidatePublish: 'Publish it all the same',
  candidateQuestion: 'Publish a version that is worse than the base model on your text?',
  announceVersion: (version: number, contributions: number) =>
    `Version ${count(version)} is published, merged from ${counted(contributions, 'contribution')}.`,
  announceContribution: (contributions: number) => `${counted(contributions, 'contribution')} have arrived.`,

  qualityTitle: 'Quality of the merged model',
  qualityLead:
    'Choose a text that nobody in the class trains on. This tab measures the loss of every version on it: how surprised the model is by the next token, in nats. Lower is better. The text stays here.',
  dataSample: 'A text that comes with the page',
  dataSampleChoose: 'Measure on this text',
  dataFile: 'A file of yours',
  dataChange: 'Another text',
  dataFacts: (names: string, windows: number, tokens: number) =>
    `Measured on ${names}: ${counted(windows, 'window')}, ${counted(tokens, 'token')}.`,
  textTooLarge: (name: string, most: number) =>
    `“${name}” is larger than ${bytes(most)}; part of it is enough to measure on.`,
  dataTooShort: 'The text is too short to measure on; choose a longer one.',
  versionMissing: 'The version did not arrive as announced; try again.',
  measuring: {
    data: 'Reading what you chose…',
    base: 'Measuring the base model',
    version: 'Measuring version',
    candidate: 'Measuring the next version',
    scale: 'Trying scales of version',
  },
  measuringWords: (what: string, version: number | null) =>
    version === null ? what : `${what} ${count(version)}`,
  measuringFacts: (fraction: number) => percent(fraction),
  measuringLabel: 'Measuring',
  measuredAll: (versions: number) =>
    versions === 0
      ? 'Each version is measured as soon as it is published.'
      : `${counted(versions, 'version')} measured; the next is measured as soon as it is published.`,
  lossNow: 'loss of the newest version',
  lossBase: 'loss of the base model',
  lossChange: 'change',
  lossChartTitle: 'Loss by version',
  lossChartLabel: (facts: string) => `Loss of each version on your text. ${facts}`,
  lossPointFacts: (version: number, value: number) => `Version ${count(version)}: ${loss(value)}.`,
  lossChartEmpty: 'The first point comes with the first version.',
  axisVersion: 'version',
  axisScale: 'scale',
  baseLine: 'base model',
  scaleTitle: 'How strongly to apply it',
  scaleLead:
    'The merged change can be applied a little more or less strongly than the mean. This tries scales of the newest version on your text; it measures the text a dozen times or more.',
  scaleFind: 'Find the best scale',
  scaleStop: 'Stop',
  scaleChartLabel: (facts: string) => `Loss by merge scale. ${facts}`,
  scaleFacts: (scale: number, at: number, one: number) =>
    `Best at ${scale.toFixed(2)}: loss ${loss(at)}, against ${loss(one)} at 1.`,
  scaleNoGain: 'A scale of 1 is as good as any here: take the version as it is.',
  scaleTried: (scale: number, value: number) => `Scale ${scale.toFixed(2)}: loss ${loss(value)}`,
  scaleSave: (scale: number) => `Save the adapter at scale ${scale.toFixed(2)}`,
  scaleNote:
    'The relay’s own version stays as it is, for everybody; this is a copy of it, scaled, as a PEFT adapter.',

  rehearseTitle: 'Rehearse',
  rehearseLead:
    'Simulated students join a room of their own with the same settings, train in this tab on sample texts, one after the other, and send. What they send counts nowhere else.',
  rehearseStudents: 'Students',
  rehearseSteps: 'Steps each',
  rehearseStepsFacts: (all: number) => `at most ${count(all)}, as in the room`,
  rehearseStart: 'Start the rehearsal',
  rehearseMore: 'Simulate more students',
  rehearseStop: 'Stop',
  rehearsalTitle: (title: string) => `Rehearsal of ${title}`,
  rehearsalNotice: 'This is a rehearsal room. Do not show its code to the class.',
  rehearsing: (student: number, students: number) => `Student ${count(student)} of ${count(students)}`,
  rehearsingStep: (step: number, steps: number) =>
    step === 0 ? 'getting ready' : `step ${count(step)} of ${count(steps)}`,
  rehearseLabel: 'Simulated students',
  recipeTakes: (seconds: number) =>
    `As measured in this tab, the whole recipe takes ${duration(seconds)} on a computer like this one.`,
  sampleMissing: (title: string) => `The text “${title}” could not be loaded; try again.`,

  exportTitle: 'Export',
  exportLead:
    'The merged adapter, the relay’s audit log, the room’s manifest and a report that any browser opens, also without the internet.',
  exportAll: 'Everything, as one zip',
  exportReport: 'Report (HTML)',
  exportAudit: 'Audit log',
  exportManifest: 'Manifest',
  exportAdapter: 'Merged adapter (PEFT)',
  exporting: 'Packing…',
  exportNoVersion: 'There is no version yet: the zip then has no adapter in it.',

  endTitle: 'End the round',
  endLead: 'What waits is merged and published as a last version; nothing more is accepted.',
  end: 'Close the room',
  endQuestion:
    'Close the room? Nobody can send any more, and this cannot be undone. What waits is merged and published.',
  endYes: 'Close the room',
  ending: 'Closing, merging and publishing…',

  deleteTitle: 'Delete this room',
  deleteLead:
    'The relay erases its contributions, its merged versions and its log. Its links open nothing any more, and no other room gets its name. Export first what you want to keep.',
  delete: 'Delete the room',
  deleteQuestion: (title: string, contributions: number, versions: number) =>
    `Delete “${title}” with ${counted(contributions, 'contribution')} and ${counted(versions, 'version')}? Whoever is in it is told. This cannot be undone; copies that people downloaded stay.`,
  deleteYes: 'Delete it for good',
  deleting: 'Deleting…',
  roomGone: 'This room was deleted. Nothing of it is left on the relay.',
  projectorGone: 'This room is no more.',

  settingsTitle: 'What this room trains',
  settingsModel: 'Base model',
  settingsAdapter: 'Adapter',
  settingsAdapterFacts: (form: string, rank: number, size: number) =>
    `${form}, rank ${count(rank)}; an update has ${bytes(size)}`,
  settingsRecipe: 'Recipe',
  settingsMerge: 'Merge',
  settingsDigest: 'Manifest',

  projectorJoin: 'Join',
  projectorCode: 'Code',
  projectorBack: 'Back to the console',
  projectorFull: 'Full screen',
  projectorLoss: 'Loss on the host’s text (lower is better)',
  projectorClosed: 'The room is closed. Thank you!',
  projectorJoiningClosed: 'Joining is closed.',
}

/** Where the room learns from pictures. */
const pictureWords: Partial<typeof words> = {
  stages: { ...words.stages, data: 'choosing pictures' },
  speed: (picturesPerSecond) => `${rate(picturesPerSecond)} pictures/s`,
  rehearseLead:
    'Simulated students join a room of their own with the same settings, train in this tab on sample pictures, one after the other, and send. What they send counts nowhere else.',
  candidateWaiting: (contributions) =>
    `The next version, of ${counted(contributions, 'contribution')}, goes out once it is measured. Choose pictures to measure on, below.`,
  candidateHeld: (contributions, at, base) =>
    `The version of ${counted(contributions, 'contribution')} is held back: its loss on your pictures is ${loss(at)}, the base model’s ${loss(base)}. Remove what spoils it, wait for more, or publish it all the same.`,
  candidateQuestion: 'Publish a version that is worse than the base model on your pictures?',
  qualityLead:
    'Choose pictures that nobody in the class trains on. This tab measures the loss of every version on them: how far, squared, the model is from the way from noise to picture, at four moments of it. Lower is better. The pictures stay here.',
  dataSample: 'Pictures that come with the page',
  dataSampleChoose: 'Measure on these pictures',
  dataFile: 'Pictures of yours',
  dataChange: 'Other pictures',
  dataFacts: (names, pictures) =>
    `Measured on ${counted(pictures, 'picture')} of ${names}, at four moments each.`,
  dataTooShort:
    'None of these gives a picture with words to it; choose png, jpg or webp files with captions.',
  lossChartLabel: (facts) => `Loss of each version on your pictures. ${facts}`,
  scaleLead:
    'The merged change can be applied a little more or less strongly than the mean. This tries scales of the newest version on your pictures; it measures them a dozen times or more.',
  sampleMissing: (title) => `The pictures “${title}” could not be loaded; try again.`,
  projectorLoss: 'Loss on the host’s pictures (lower is better)',
}

export const console = byMedium(words, pictureWords, roomDraws)
