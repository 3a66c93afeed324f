/**
 * Who could reconstruct something of a person's text from their update, under the settings of the room at hand.
 * Plain rules over the manifest; docs/privacy.md argues for each.
 */
import type { Manifest } from '../../relay/protocol/manifest.ts'
import type { PrivacyFigures } from '../../relay/protocol/privacy.ts'

export type Exposure =
  /** The host receives the update as it is, in every room there is today. */
  | { readonly to: 'host'; readonly approves: boolean }
  /** Every update is published as good as by itself. */
  | { readonly to: 'participants'; readonly how: 'each' }
  /** A version mixes at least this many, save the last one at close. */
  | { readonly to: 'participants'; readonly how: 'batch'; readonly every: number }
  /** A round's version mixes this many, at its deadline fewer. */
  | { readonly to: 'participants'; readonly how: 'round'; readonly quorum: number }
  /** One noisy publication with a guarantee; the figures say what that is worth with the contributions there are. */
  | {
      readonly to: 'participants'
      readonly how: 'private'
      readonly epsilon: number
      readonly delta: number
      readonly figures: PrivacyFigures | null
    }
  /** Nobody else is sent anything; without encryption the network can listen. */
  | { readonly to: 'others'; readonly encrypted: boolean }

export function exposures(
  {
    publishEvery,
    privacy,
    admission,
    mode,
  }: Pick<Manifest, 'publishEvery' | 'privacy' | 'admission' | 'mode'>,
  encrypted: boolean,
  /** As the room's status has them. */
  figures: PrivacyFigures | null = null,
): readonly Exposure[] {
  const participants: Exposure = privacy
    ? { to: 'participants', how: 'private', epsilon: privacy.epsilon, delta: privacy.delta, figures }
    : publishEvery === 1
      ? { to: 'participants', how: 'each' }
      : mode?.kind === 'rounds'
        ? { to: 'participants', how: 'round', quorum: mode.quorum }
        : { to: 'participants', how: 'batch', every: publishEvery }
  return [{ to: 'host', approves: admission === 'approve' }, participants, { to: 'others', encrypted }]
}

/** Encrypted, or never on a network at all. */
export const isEncrypted = ({ protocol, hostname }: Pick<Location, 'protocol' | 'hostname'>): boolean =>
  protocol === 'https:' || hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]'
