/** The host's report, a file of its own. */
import { count, counted, loss, significant } from '../format.ts'

export const report = {
  title: 'report',
  written: (at: string) => `Written by oneround on ${at}.`,
  summary: (contributions: number, versions: number, closed: boolean) =>
    `${counted(contributions, 'contribution')}, ${counted(versions, 'version')} published. The room is ${closed ? 'closed' : 'still open'}.`,
  quality: 'Quality on the host’s own data',
  notMeasured: 'The merged model was not measured in the host’s console.',
  measuredOn: (names: string, windows: number, tokens: number) =>
    `Mean loss in nats a token over ${counted(windows, 'window')} (${counted(tokens, 'token')}) of ${names}, measured in the host’s browser. Lower is better.`,
  measuredOnPictures: (names: string, pictures: number) =>
    `Mean squared error of the flow over ${counted(pictures, 'picture')} of ${names}, at four moments each, measured in the host’s browser. Lower is better.`,
  base: 'base model',
  version: 'Version',
  loss: 'Loss',
  contributionsColumn: 'Contributions',
  chartByVersion: 'Loss by version; the dashed line is the base model. The numbers stand in the table above.',
  chartByScale: 'Loss by merge scale.',
  scaleName: 'scale',
  scale: (scale: number, at: number, one: number) =>
    `Of the newest version the loss is least at scale ${scale.toFixed(2)}: ${loss(at)}, against ${loss(one)} at 1.`,
  terms: 'What the room trained',
  term: 'Term',
  value: 'Value',
  model: 'Base model',
  adapter: 'Adapter',
  adapterFacts: (form: string, rank: number) => `${form}, rank ${count(rank)}`,
  recipe: 'Recipe',
  merge: 'Merge',
  publishing: 'Publishing',
  mode: 'Mode',
  privacy: 'Privacy',
  privacyFacts: (epsilon: number, delta: number) =>
    `Private room: epsilon ${significant(epsilon)}, delta ${significant(delta)}`,
  noPrivacy: 'Open room: the host received every single update.',
  manifest: 'Manifest digest',
  versions: 'Published versions',
  noVersions: 'None.',
  published: 'Published at',
  digest: 'SHA-256',
  retired: 'retired: a contribution in it was removed',
  contributions: 'Contributions',
  noContributions: 'None.',
  number: 'No.',
  from: 'From',
  size: 'Size',
  examples: 'Examples',
  norm: 'Norm',
  audit: 'Audit log',
  auditFacts: (lines: number) =>
    `${counted(lines, 'line')}, each naming the hash of the one before. The hash of the last:`,
}
