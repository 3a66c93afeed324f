/**
 * Every text of the page, in one place: short sentences, plain words, numbers with units, and the same noun
 * for the same thing everywhere. The nouns: the *relay* is the server, the *host* the person who runs it, an
 * *adapter* what training makes, an *update* what a tab sends, a *version* what the relay publishes.
 */
import { bytes, bytesPerSecond, count, counted, duration, loss, parameters, percent, rate } from './format.ts'

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

export const shell = {
  name: 'oneround',
  skip: 'Skip to the step',
  footer: 'Your text stays on this device. One update leaves it, and only after you have reviewed it.',
  loading: 'Loading…',
}

export const opening = {
  title: 'One moment',
  lookingFor: (room: string | null) => (room ? `Looking for the room “${room}”…` : 'Looking for rooms…'),
}

export const rooms = {
  title: 'Choose a room',
  lead: 'This relay has several rooms. Each trains its own adapter. Choose the one you were invited to.',
  none: 'This relay has no room yet. Ask the host to open one, then reload this page.',
  noneTitle: 'No room yet',
}

export const join = {
  eyebrow: 'You are invited to train together',
  lead: 'This tab fine-tunes a model on text of yours. The text stays on this device. One small update leaves it, and only after you have reviewed it.',
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
  deviceUnknown: 'Not measured yet.',
  deviceFacts: (device: string) => device,
  deviceSpeed: {
    webgpu: 'The graphics processor trains. Keep this tab open and visible until you have sent.',
    software: 'WebGPU is emulated by the processor here. It works, but slowly.',
    other: 'The processor trains. That is slower than a graphics processor, but gives the same result.',
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
  ] as const,
  start: 'Join',
  starting: 'Opening the device…',
  continuing: 'Continuing where you left off',
  continuingLead: 'This browser kept your text and your progress. The model is loaded again, then you go on.',
}

export const download = {
  label: 'Model download',
  downloading: (received: number, total: number) =>
    `Downloading the model: ${bytes(received)} of ${bytes(total)}`,
  speed: (perSecond: number, secondsLeft: number) =>
    `${bytesPerSecond(perSecond)} · ${duration(secondsLeft)} left`,
  verifying: 'Checking the model’s SHA-256…',
  loading: 'Loading the model onto the device…',
  fromCache: (size: number) => `${bytes(size)} came from this browser’s storage: no download needed.`,
  done: (size: number) => `Model downloaded and checked (${bytes(size)}).`,
  keptForNextTime: 'It is kept in this browser for the next visit.',
  notKept: 'This browser could not keep it; the next visit downloads it again.',
}

export const data = {
  title: 'Choose your text',
  lead: 'A few pages are enough. The more it sounds like you, the more there is to learn.',
  drop: 'Drop files here',
  dropFormats: 'txt, md, jsonl or csv',
  pick: 'Choose files',
  pasteLabel: 'Or paste text',
  pastePlaceholder: 'Paste or type here',
  pasteAdd: 'Use this text',
  pasteName: (number: number) => `pasted-${number}.txt`,
  sampleLabel: 'Or take a sample',
  reading: 'Reading your text…',
  readingSample: (title: string) => `Fetching “${title}”…`,
  sampleFailed: (title: string) =>
    `The sample “${title}” could not be fetched; check the connection and try again.`,
  fileTooLarge: (name: string, most: number) =>
    `The file “${name}” is larger than ${bytes(most)}; split it and take a part.`,
  fileUnreadable: (name: string) =>
    `The file “${name}” could not be read; it may have been moved or be in use. Choose it again.`,
  filesTitle: 'Your text',
  remove: (name: string) => `Remove ${name}`,
  removeShort: 'Remove',
  fileFacts: (documents: number, size: number) => `${counted(documents, 'document')} · ${bytes(size)}`,
  fileUnused: 'not used',
  skippedTitle: (number: number) => `${counted(number, 'row')} skipped`,
  skippedLine: (row: { line?: number; document?: number; reason: string }) =>
    row.line
      ? `Line ${count(row.line)}: ${row.reason}`
      : row.document
        ? `Document ${count(row.document)}: ${row.reason}`
        : row.reason,
  skippedMore: (number: number) => `…and ${count(number)} more.`,
  documents: 'Documents',
  examples: 'Examples',
  tokens: 'Tokens',
  heldOut: 'Held out',
  explanation: (windowTokens: number) =>
    `An example is a window of up to ${counted(windowTokens, 'token')}. The held-out examples are kept aside to measure the loss on text that training does not see.`,
  excerpt: 'How it begins',
  stays:
    'Your text stays on this device. A copy is kept in this browser’s storage so that a reload can go on; you can delete it at the end.',
  notKept: 'This browser cannot keep a copy, so a reload starts again.',
  tooShort: 'This text is too short: training needs at least two examples. Add more text.',
  needMore: 'Add text to continue.',
  continue: 'Continue to training',
}

export const train = {
  title: { ready: 'Ready to train', running: 'Training', paused: 'Paused' },
  leadReady:
    'An adapter now learns from your text, in this tab. You can pause, stop early or reload at any time.',
  planTitle: 'The plan',
  planSteps: 'Steps',
  planText: 'Your text',
  planTextFacts: (train: number, heldOut: number) =>
    `${counted(train, 'example')} to learn from, ${count(heldOut)} held out to measure`,
  planDevice: 'Device',
  planAdapter: 'Adapter',
  planAdapterFacts: (numbers: number, rank: number) => `${count(numbers)} numbers (LoRA of rank ${rank})`,
  start: 'Start training',
  back: 'Change the text',
  lead: 'The loss is how surprised the model is by the next token of your text. Lower is better.',
  leadPaused: 'Nothing is lost. Resume when you like.',
  step: 'Step',
  of: 'of',
  loss: 'Training loss',
  heldOutLoss: 'Held-out loss',
  speed: 'Speed',
  speedUnit: 'tokens/s',
  timeLeftFacts: (seconds: number) => `${duration(seconds)} left`,
  preparing: 'Preparing the first step…',
  chartLabel: (latest: string) => `Loss over training steps. ${latest}`,
  chartTrain: 'training',
  chartHeldOut: 'held-out',
  chartUnits: 'loss in nats a token, by step',
  chartEmpty: 'The curve appears with the first step.',
  progressLabel: 'Training progress',
  pause: 'Pause',
  resume: 'Resume',
  stop: 'Stop and keep the best',
  stopping: 'Finishing the step at hand…',
  checkpoint: (step: number) =>
    `Checkpoint of step ${count(step)} kept in this browser. A reload goes on from there.`,
  noCheckpoint: 'A checkpoint is kept in this browser every few seconds, so that a reload can go on.',
  checkpointFailed: 'This browser cannot keep checkpoints, so do not reload before you have sent.',
  announce: (fraction: number, secondsLeft: number) =>
    `${percent(fraction)} of training done, ${duration(secondsLeft)} left.`,
}

export const lost = {
  title: 'The device stopped',
  workerStopped:
    'The tab ran out of memory or its worker was stopped; your text and the last checkpoint are kept.',
  lead: 'Your text is still here, and so is the last checkpoint.',
  leadEarly: 'Nothing that you chose is lost.',
  resume: 'Resume from the last checkpoint',
  again: 'Open the device again',
}

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

export const left = {
  title: 'You left without sending',
  lead: 'Nothing was sent. Your text and the adapter were deleted from this browser’s storage.',
  again: 'Start again',
}

export const send = {
  title: { sending: 'Sending', sent: 'Your update has arrived' },
  lead: {
    sending: 'Keep this tab open for a moment.',
    sent: 'You may close this tab. The relay keeps your update and merges it.',
  },
  progressLabel: 'Upload progress',
  progress: (sent: number, total: number) => `${bytes(sent)} of ${bytes(total)} sent`,
  waitingForReceipt: 'Everything is sent. Waiting until the relay has stored it durably…',
  reconnecting:
    'The connection is interrupted. It is tried again by itself, and the upload goes on where it stopped.',
  receiptTitle: 'Receipt',
  digest: 'SHA-256 of your update',
  digestMatches: 'The same digest as in your review.',
  time: 'Stored at',
  size: 'Size',
  serverSays: 'The relay says',
  serverWords: (contribution: number, examples: number) =>
    `Stored durably as update ${count(contribution)} of this room. It counts as ${counted(examples, 'example')}.`,
  stayOrGo: 'Stay if you want to compare the merged model with yours.',
  toResult: 'See the result',
  waiting: 'No version with your update yet',
  waitingFor: (updates: number) => `The next version comes after ${counted(updates, 'more update')}`,
  ready: (version: number) => `Version ${count(version)} is published`,
}

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

export const problems = {
  title: 'This did not work',
  dismiss: 'Dismiss',
  again: 'Try again',
  roomNotFound: (room: string) =>
    `This relay has no room “${room}”; check the address, or ask the host for a new invitation.`,
  relayUnreachable: 'The relay cannot be reached; check the connection, then try again.',
  relayOffline:
    'The connection to the relay is interrupted. It is tried again by itself; what runs on this device goes on.',
  modelFile: (name: string, status: number) =>
    `The relay did not deliver the model’s file “${name}” (HTTP ${status}); try again, or tell the host.`,
  modelInterrupted: (name: string) =>
    `The download of “${name}” was interrupted; try again, what has arrived whole is kept.`,
  modelDigest: (name: string) =>
    `The model’s file “${name}” is not the one this room names (its SHA-256 differs), so it was deleted; try again, or tell the host.`,
  modelSize: (name: string) =>
    `The model’s file “${name}” does not have the length this room names, so it was not used; tell the host.`,
  workerMissing: 'The part of the page that runs the model could not be started; reload the page.',
  otherRound:
    'This room has changed since your last visit, so the adapter kept from then does not fit; start again with your text.',
  unknown: (message: string) => `Something unexpected happened: ${message}`,
}
