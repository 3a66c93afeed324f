/** Rooms whose rounds go on from one another. */
import type { SteppedMode } from '../../relay/protocol/manifest.ts'
import { clockTime, count, counted, duration } from '../format.ts'

export const rounds = {
  fact: 'Rounds',
  mode: (mode: SteppedMode) =>
    mode.kind === 'sequential'
      ? 'One after the other: everybody starts from the newest merged adapter, and sends one update.'
      : `${counted(mode.rounds, 'round')}, each from the merged adapter of the one before. A round ends with ${counted(mode.quorum, 'update')}, or with fewer after ${duration(mode.deadlineSeconds)}.`,
  name: (round: number, of: number | null) =>
    of === null ? `Round ${count(round)}` : `Round ${count(round)} of ${count(of)}`,
  from: (version: number | null) =>
    version === null ? 'from the room’s common start' : `from version ${count(version)}`,

  waitingTitle: (round: number, of: number | null) =>
    of === null ? `Waiting for round ${count(round)}` : `Waiting for round ${count(round)} of ${count(of)}`,
  waiting: (received: number, quorum: number, deadline: string | null) =>
    `${count(received)} of ${counted(quorum, 'update')} have arrived. The round ends when the others are here${deadline === null ? '' : `, or at ${clockTime(deadline)} with those that have come by then`}.`,
  merging: 'The round is complete, and the relay is merging it.',
  afterwards:
    'Then this tab trains again by itself, on the same data, from the merged adapter. Nothing is sent before you have reviewed it again.',
  goesOn: 'Take part in the next round',
  goesOnNote: 'You may leave at any time, also by closing this tab: what you have sent counts.',
  stopsTitle: 'You take part no more',
  lastTitle: 'That was the last round',
  last: 'The newest version holds what all rounds have learned.',
  begunTitle: (round: number, of: number | null) =>
    `${of === null ? `Round ${count(round)}` : `Round ${count(round)} of ${count(of)}`} has begun`,
  begun: 'It trains on the same data, from the newest version.',
  begin: 'Train in this round',

  lateTitle: 'A newer version is there',
  late: {
    next: 'The round that you trained for is over. Your update still counts, in the round that is open now; trained anew, from the newest version, it fits better.',
    refuse:
      'The round that you trained for is over, and this room takes no late updates. Train again from the newest version.',
    sequential:
      'Somebody else’s update was merged since you began. Yours still counts; trained anew, from the newest version, it fits better.',
  },
  trainAnew: 'Train again from the newest version',
}
