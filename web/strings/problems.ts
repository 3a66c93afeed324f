import type { Lack } from '../../models/catalog/planner.ts'
import { bytes } from '../format.ts'

const tooLittle = ({ needed, has, inOnePiece }: Lack) =>
  `needs ${bytes(needed)} of memory${inOnePiece ? ' in one piece' : ''}, and this device gives ${bytes(has)}`

/** What can go wrong: one sentence each, with the next step. */
export const problems = {
  title: 'This did not work',
  dismiss: 'Dismiss',
  again: 'Try again',
  allRooms: 'See this relay’s rooms',
  noSuchAddress:
    'There is nothing at this address; check the link, or ask the host for the invitation once more.',
  relayUnreachable: 'The relay cannot be reached; check the connection, then try again.',
  relayLater:
    'The relay does not answer, so you see what this browser has kept; you can train without it, and send once it is back.',
  relayOffline:
    'The connection to the relay is interrupted. It is tried again by itself; what runs on this device goes on.',
  modelFile: (name: string, status: number) =>
    `The relay did not deliver the model’s file “${name}” (HTTP ${status}); try again, or tell the host.`,
  modelInterrupted: (name: string) =>
    `The download of “${name}” was interrupted; try again, what has arrived whole is kept.`,
  modelDigest: (name: string) =>
    `The model’s file “${name}” is not the one this room names (its SHA-256 differs), so it was deleted; try again, or tell the host.`,
  modelTooLarge: (lack: Lack, instead: { readonly tokens: number; readonly rank: number | null } | null) => {
    const ask = instead ? `windows of ${instead.tokens} tokens and rank ${instead.rank}` : 'a smaller model'
    return `Training in this room ${tooLittle(lack)}; join from another device, or ask the host for ${ask}.`
  },
  modelTooLargeToMeasure: (lack: Lack) =>
    `Measuring this room’s model ${tooLittle(lack)}; open the console on another device for that.`,
  modelSize: (name: string) =>
    `The model’s file “${name}” does not have the length this room names, so it was not used; tell the host.`,
  partMissing:
    'A part of this page could not be loaded; check the connection and reload. What is trained is kept.',
  workerMissing: 'The part of the page that runs the model could not be started; reload the page.',
  workerNoModules:
    'This browser is too old to run the model, because its workers take no modules; take a current Chrome, Edge, Firefox or Safari.',
  workerTwice:
    'This browser started the part of the page that runs the model twice in one worker, so nothing would be trained rightly; take another browser, and tell the host.',
  otherRound:
    'This room has changed since your last visit, so the adapter kept from then does not fit; start again with your data.',
  unknown: (message: string) => `Something unexpected happened: ${message}`,
}
