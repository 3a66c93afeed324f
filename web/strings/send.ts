/** The upload and its receipt. */
import { bytes, count, counted } from '../format.ts'

export const send = {
  title: { sending: 'Sending', sent: 'Your update has arrived' },
  lead: {
    sending: 'Keep this tab open for a moment.',
    sent: 'You may close this tab. The relay keeps your update and merges it.',
    sentInRound: 'The relay keeps your update and merges it. Stay for the next round, or close this tab.',
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
  waitingFor: (updates: number) =>
    updates === 0
      ? 'The next version is being made'
      : `The next version comes after ${counted(updates, 'more update')}`,
  ready: (version: number) => `Version ${count(version)} is published`,
}
