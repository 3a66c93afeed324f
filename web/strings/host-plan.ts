/** What a host chooses before opening a room: one sentence each on what it does and what it costs. */
import { bytes, count, counted, duration } from '../format.ts'

interface Choice {
  readonly name: string
  readonly words: string
}

export const plan = {
  title: 'Open a room',
  lead: 'Everything has a value that works for a class. Change what you like; once the room is open, it stays as it is.',
  roomTitle: 'What participants read at the top',
  roomTitleDefault: 'Fine-tuning together',
  preset: 'Class of 30, ten minutes',
  presetWords:
    'The embedded or smallest model, short windows, a version after every five contributions, and a join code.',
  presetUse: 'Set everything to this',
  presetIs: 'Everything is set to this.',

  model: 'Base model',
  modelWords: (size: number, licence: string) =>
    `Everybody downloads ${bytes(size)} once${licence === '' ? '' : `; licence ${licence}`}.`,

  form: 'What is trained',
  forms: {
    lora: {
      name: 'LoRA',
      words: 'Both factors of a small add-on to every layer. It learns most and sends most.',
    },
    ffa: {
      name: 'FFA-LoRA',
      words: 'One of the two factors. It sends about half, merges exactly, and learns a little less.',
    },
    'lora-sb': {
      name: 'LoRA-SB',
      words:
        'A tiny core between two fixed factors. The smallest update by far; the factors are downloaded too.',
    },
  } satisfies Record<string, Choice>,
  rank: 'Rank',
  rankNote: 'The width of the add-on. Twice the rank can learn more and sends twice as much.',

  recipe: 'How long everybody trains',
  steps: 'Steps',
  batch: 'Examples a step',
  tokens: 'Tokens an example',
  learningRate: 'Learning rate',
  learningRateNote:
    'Higher learns faster and may diverge; 0.003 suits the embedded model, 0.001 larger ones.',
  recipePictures: (pictures: number) =>
    `${counted(pictures, 'picture')} pass through the model on each computer; one that comes twice counts twice. A rehearsal measures how long it takes.`,
  recipeNote: (tokens: number, seconds: number) =>
    `${count(tokens)} tokens each at most: ${duration(seconds)} where a computer does 300 tokens a second. A rehearsal measures it.`,

  strategy: 'How contributions are merged',
  strategies: {
    florist: {
      name: 'Exact mean, compact',
      words:
        'The mean of all changes, weighted by examples, in the smallest adapter that keeps 99.9 % of it (FLoRIST). A few seconds of the relay’s time.',
    },
    fedit: {
      name: 'Mean of the factors',
      words: 'As in the first papers (FedIT). Cheapest, but not the mean of the changes, so it learns less.',
    },
    stack: {
      name: 'Exact mean, stacked',
      words:
        'All factors side by side (FLoRA). Exact, but the adapter grows with every contribution and shows each.',
    },
    svd: {
      name: 'Exact mean, at the rank trained',
      words: 'The best adapter of the rank you train (FlexLoRA). Small, and a little is cut off.',
    },
    task: {
      name: 'Task arithmetic',
      words: 'The exact mean, to be scaled afterwards. The adapter is as large as the stacked one.',
    },
    ties: {
      name: 'Largest changes, by majority',
      words:
        'Keeps the largest fifth of each change and settles signs by vote (TIES). Takes the relay longer.',
    },
    dare: {
      name: 'Random fifth, scaled up',
      words: 'Drops four fifths of each change at random (DARE). Noisier with few contributions.',
    },
    median: {
      name: 'Median',
      words: 'Entry by entry. Withstands a few bad contributions, and ignores how many examples each had.',
    },
    'trimmed-mean': {
      name: 'Trimmed mean',
      words: 'Leaves out the tenth at either end, entry by entry. Withstands a few bad contributions.',
    },
    rfa: {
      name: 'Geometric median',
      words: 'The point nearest to all changes (RFA). Withstands a few bad ones at a few times the work.',
    },
    ffa: { name: 'Mean of B', words: 'Exact for FFA-LoRA, and the cheapest for the relay.' },
    'lora-sb': { name: 'Mean of the cores', words: 'Exact for LoRA-SB, and the cheapest for the relay.' },
  } satisfies Record<string, Choice>,

  mode: 'How many rounds',
  modes: {
    'one-shot': {
      name: 'One round',
      words: 'Everybody trains once and sends once, whenever it suits them. Tabs may close after sending.',
    },
    rounds: {
      name: 'Several rounds, each from the last merged adapter',
      words:
        'As federated learning is usually done. Everybody trains and sends once a round, so it costs so many times as much, and tabs stay open in between.',
    },
    sequential: {
      name: 'One after the other, each from the newest merged adapter',
      words:
        'Whoever comes later learns from those before. Every update is a version of its own, so everyone can work out what each person sent.',
    },
  } satisfies Record<string, Choice>,
  rounds: 'Rounds',
  quorum: 'Updates that complete a round',
  quorumNote: 'Fewer than the class: somebody is always late.',
  deadline: 'Minutes until fewer are enough',
  deadlineNote: 'At least one is.',
  lateCounts: 'Late updates count in the next round',
  lateCountsNote: 'Otherwise they are refused, and their tabs train again.',

  privacy: 'Privacy',
  privacyNone: {
    name: 'Open room',
    words: 'You receive every single update, and could work out something of its text. No cost in quality.',
  },
  privacyPrivate: {
    name: 'Private room',
    words:
      'One publication at the end, with so much noise that no single person shows in it. It costs quality; how much is said below. You still receive the updates.',
  },
  epsilon: 'Epsilon',
  epsilonNote: 'Smaller protects more and adds more noise.',
  clip: 'Longest update that counts in full',
  clipNote: 'Its norm. The rehearsal shows the norm of each contribution.',
  privacyWorth: (people: number) => `With a class of ${count(people)}:`,

  publishing: 'Publishing and joining',
  publishEvery: 'Contributions between two versions',
  publishOnce: 'A private room publishes once, when you close it.',
  publishRounds: 'Each round is published when it is over.',
  publishEveryNote: 'With 1, everyone can work out what each person sent.',
  approve: 'I decide about every contribution before it counts',
  approveNote: 'You can compare it with the others first. Somebody has to sit at this console.',
  gate: 'Measure each version here before it goes out',
  gateNote:
    'A version that is worse than the base model on data of yours is held back. This console must stay open.',
  withCode: 'Ask for a join code',
  withCodeNote: 'It stands on the projector and in the QR code; who only knows the address does not get in.',

  costTitle: 'What it costs',
  costDownload: 'Each downloads',
  costUpdate: 'Each sends',
  costClass: 'A class of 30',
  costClassFacts: (down: number, up: number) => `${bytes(down)} down, ${bytes(up)} up, over your network`,
  costTrain: 'Each trains',
  costTrainFacts: (tokens: number, steps: number) => `${count(tokens)} tokens in ${counted(steps, 'step')}`,
  costTrainPictures: (pictures: number, steps: number) =>
    `${counted(pictures, 'picture')} in ${counted(steps, 'step')}`,
  /** Of a room that is open. `tokens`: null where it learns from pictures. */
  recipeFacts: (steps: number, batch: number, tokens: number | null) =>
    tokens === null
      ? `${counted(steps, 'step')} of ${counted(batch, 'picture')}`
      : `${counted(steps, 'step')} of ${counted(batch, 'example')}, up to ${count(tokens)} tokens each`,
  open: 'Open the room',
  opening: 'Opening…',
  startWait:
    'The relay first makes the fixed factors from the base model, once for each rank: a second or two for a small model, up to a minute for one of 135 million parameters.',
  makingStart:
    'The relay makes the fixed factors from the base model, layer by layer. The room opens by itself then.',
  back: 'Back to all rooms',
  noModels: 'This relay offers no model; start it with oneround host.',
  outOf: (least: number, most: number) => `from ${count(least)} to ${count(most)}`,
}
