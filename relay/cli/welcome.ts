/** What the host reads once the relay is up: the link and its QR code, and the room's terms in sentences. */
import { gaussianSigma } from '../aggregation/index.ts'
import { type Manifest, type Mode, privacyFigures, privacyInWords } from '../protocol/index.ts'
import type { Console } from './console.ts'

export interface Addresses {
  readonly joinUrl: string
  readonly hostUrl: string
}

export interface Surroundings {
  readonly dataDir: string
  readonly lan: boolean
  readonly addresses: readonly string[]
  readonly publicUrl: string | undefined
  readonly tls: boolean
  /** The host's own text, that versions are measured on by this program. */
  readonly gate: string | undefined
}

export async function welcome(
  { joinUrl, hostUrl }: Addresses,
  manifest: Manifest,
  surroundings: Surroundings,
  console: Console,
): Promise<void> {
  const { base, recipe, strategy } = manifest
  console.print(`\n  Join at  ${joinUrl}\n\n`)
  const { renderUnicodeCompact } = await import('uqr')
  console.print(`${renderUnicodeCompact(joinUrl, { border: 2 })}\n\n`)
  console.note(`The host's console, for you alone:  ${hostUrl}\n`)
  console.note(
    `Room ${manifest.room}: ${base.id}, ${recipe.steps} steps of ${recipe.batch} x ${recipe.tokens} tokens, merged by ${strategy.id}.`,
  )
  for (const sentence of publishing(manifest)) console.note(sentence)
  const { lan, publicUrl, tls, addresses, dataDir, gate } = surroundings
  if (manifest.gate) console.note(gated(gate))
  if (lan && publicUrl === undefined) {
    console.note(
      tls
        ? 'The certificate is made here: each browser warns once, and each person must accept it.'
        : 'Other machines join over plain HTTP: their browsers then train without WebGPU, more slowly. --https gives it to them.',
    )
    const more = addresses.slice(1)
    if (more.length > 0) console.note(`This machine also has the addresses ${more.join(', ')}.`)
  }
  console.note(`Everything is kept in ${dataDir}. Ctrl-C stops the relay; nothing is lost by that.`)
}

/** When a version is published, and what that tells of single participants. */
function publishing(manifest: Manifest): string[] {
  const { privacy, publishEvery, mode } = manifest
  if (privacy) {
    return [
      'One version is published, when the room closes; until then everybody can withdraw.',
      privacyInWords(privacyFigures({ ...manifest, privacy }, gaussianSigma(privacy), 0)),
    ]
  }
  const revealing = 'everyone can see what each one added.'
  if (mode?.kind === 'sequential') {
    return [`Each starts from the newest version, and every contribution makes a new one: ${revealing}`]
  }
  if (mode?.kind === 'rounds') return [inRounds(mode)]
  return publishEvery === 1
    ? [`A version is published after every contribution: ${revealing}`]
    : [`A version is published after every ${publishEvery} contributions, and the rest when the room closes.`]
}

const gated = (file: string | undefined) =>
  file === undefined
    ? 'Each version of this room waits until the host has measured it: start with --gate FILE, or measure it in the console.'
    : `Each version is measured on ${file} first, and held back if it is worse than the base.`

const inRounds = ({ rounds, quorum, deadlineSeconds, late }: Mode & { kind: 'rounds' }) =>
  `${rounds} rounds, each from the merge of the one before; a round is over with ${quorum} updates, or after ${deadlineSeconds} s with fewer. Later ones ${late === 'next' ? 'count in the next round' : 'are refused'}.`
