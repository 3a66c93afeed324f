/** The leak lesson: could somebody get a secret out of the model? */
import { count, counted, duration, loss, percent } from '../format.ts'

export const lesson = {
  title: 'Can a model be made to tell a secret?',
  lead: 'An experiment on this device, with the small model that comes with this page and with old books as texts. Nine clients train; the first has a door code hidden in its text. Afterwards the model is asked for it.',
  sentence: (beginning: string, code: string) => `“${beginning} ${code}.”`,
  sentenceLead: 'The secret sentence in the first client’s text:',
  code: 'Four digits of your choice',
  codeWrong: 'The code needs exactly four digits.',
  copies: 'How often it stands there',
  copiesOf: (copies: number) => (copies === 1 ? 'once' : `${count(copies)} times`),
  start: 'Start the experiment',
  again: 'Start again',
  stop: 'Stop',
  cost: 'Trains nine small adapters: a minute or two on a graphics processor, several on a processor. Nothing of it is sent.',
  progressLabel: 'Progress of the experiment',
  preparing: 'Loading the small model…',
  training: (client: number, clients: number) => `Client ${count(client)} of ${count(clients)} trains`,
  measuring: 'Asking the model',
  progressFacts: (fraction: number, secondsLeft: number) =>
    `${percent(fraction)} · ${Number.isFinite(secondsLeft) ? `${duration(secondsLeft)} left` : 'measuring the time'}`,
  resultTitle: 'How well each model knows the code',
  resultLead: (candidates: number) =>
    `The code is put in line with ${count(candidates - 1)} random other codes, by how likely the model finds each. First place means: whoever tries the likeliest codes opens the door at once.`,
  columns: {
    model: 'Model',
    place: 'Place of the code',
    bits: 'Exposure',
    says: 'Says by itself',
    loss: 'Loss on other text',
  },
  place: (rank: number, candidates: number) => `${count(rank)} of ${count(candidates)}`,
  bits: (bits: number) => `${bits.toFixed(1)} bits`,
  says: (text: string) => `“${text.trim()}”`,
  saysSecret: 'the code!',
  loss,
  names: {
    base: 'Before training',
    alone: 'The first client’s update alone',
    few: 'Mixed with 2 others',
    many: 'Mixed with 8 others',
    clipped: 'The same, updates clipped',
    private: 'The same, in a private room',
  },
  notes: {
    base: 'It has never seen the code: its place is chance.',
    alone: 'What the host receives. In a room that publishes every update, what everyone receives.',
    few: 'As rooms publish unless the host chooses otherwise.',
    many: 'A larger batch.',
    clipped: 'Every update is shortened to half the usual length before it is mixed.',
    private:
      'Clipped, and with noise for ε = 8, δ = 10⁻⁵. With nine clients the noise is larger than what they learnt: see the loss.',
  },
  readTitle: 'How to read it',
  read: [
    'Exposure is the place in bits: 0 bits is the last place, 8 bits the first of 256. A model that knows nothing scores 1.4 bits on average, and sometimes 3 by luck.',
    'Loss says what protection costs: how surprised the model is by other text of the nine. Lower is better; above the first line the model has become worse than before.',
    'This is one secret, one small model and little text that was trained on for long, which makes it easy to remember. It shows what can happen, not what your update holds. A low number here proves nothing about another attack.',
    'The same code and settings give the same numbers on the same kind of device. On the command line, npm run lab:leak repeats it over many seeds.',
  ],
  save: 'Save the numbers',
  done: (rows: number) => `${counted(rows, 'model')} measured.`,
}
