/** Training. */
import { count, counted, duration, percent } from '../format.ts'
import { byMedium } from './by-medium.ts'

const text = {
  title: { ready: 'Ready to train', running: 'Training', paused: 'Paused' },
  leadReady:
    'An adapter now learns from your text, in this tab. You can pause, stop early or reload at any time.',
  planSteps: 'Steps',
  planText: 'Your text',
  planTextFacts: (train: number, heldOut: number) =>
    `${counted(train, 'example')} to learn from, ${count(heldOut)} held out to measure`,
  planDevice: 'Device',
  planTime: 'Time',
  planTimeMeasuring: 'Measuring on this device…',
  planTimeFacts: (seconds: number) => `About ${duration(seconds)}`,
  planTimeNote:
    'Measured here: a step or two of this very training, which are then thrown away, and one pass over what is held out.',
  planAdapter: 'Adapter',
  planAdapterFacts: (numbers: number, rank: number) => `${count(numbers)} numbers (LoRA of rank ${rank})`,
  start: 'Start training',
  startAgain: 'Train again',
  toReview: 'Back to the review',
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
  noCheckpoint: 'A checkpoint is kept in this browser every second or two, so that a reload can go on.',
  checkpointFailed: 'This browser cannot keep checkpoints, so do not reload before you have sent.',
  gentle: 'Gentle mode',
  gentleNote:
    'Rests as long as it works: the device stays cooler, the battery lasts longer, and training takes about twice as long.',
  onBattery: (level: number) => `This device runs on its battery (${percent(level)}).`,
  background:
    'You may switch to another tab or window: training goes on, though some browsers slow it down. A phone stops it when the screen locks or the browser is left. Either way nothing is lost; it goes on when you come back.',
  absence: (seconds: number, steps: number) =>
    steps > 0
      ? `While you were away for ${duration(seconds)}, ${counted(steps, 'step')} were done.`
      : `While you were away for ${duration(seconds)}, this browser let nothing run.`,
  sampleTitle: 'Try a prompt',
  samplePrompt: 'What the model should answer or go on from',
  sampleWrite: 'Write',
  sampleWriting: 'Writing…',
  sampleBefore: 'Before training',
  sampleNow: (step: number | null) => (step === null ? 'Now' : `After step ${count(step)}`),
  sampleNone: 'Nothing written yet.',
  announce: (fraction: number, secondsLeft: number) =>
    `${percent(fraction)} of training done, ${duration(secondsLeft)} left.`,
}

/** Where the model learns from pictures. */
const pictures = {
  leadReady:
    'An adapter now learns from your pictures, in this tab. You can pause, stop early or reload at any time.',
  planText: 'Your pictures',
  planTextFacts: (train: number, heldOut: number) =>
    `${counted(train, 'picture')} to learn from, ${count(heldOut)} held out to measure`,
  back: 'Change the pictures',
  lead: 'The loss is how far the model is off when it takes noise away from your pictures. Lower is better.',
  speedUnit: 'pictures/s',
  chartUnits: 'mean squared error, by step',
}

export const train = byMedium(text, pictures)
