/** Taking a contribution out: by its participant, or by the host for whoever sent it. Versions it was in are retired. */
import type { Digest } from '../protocol/canonical.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { ContributionRows } from './ledger-contributions.ts'
import type { LedgerDatabase } from './ledger-database.ts'
import type { PublicationRows } from './ledger-publications.ts'
import type { RoundRows } from './ledger-rounds.ts'
import type { SenderRows } from './ledger-senders.ts'
import type { Withdrawal } from './ledger-types.ts'

export interface WithdrawnFrom {
  readonly rounds: RoundRows
  readonly contributions: ContributionRows
  readonly senders: SenderRows
  readonly publications: PublicationRows
}

export class Withdrawals {
  readonly #database: LedgerDatabase
  readonly #rows: WithdrawnFrom

  constructor(database: LedgerDatabase, rows: WithdrawnFrom) {
    this.#database = database
    this.#rows = rows
  }

  /**
   * Takes a participant's contribution out; the row stays as a tombstone. If others have sent the very same update it
   * stays for them. Throws ProtocolError `withdraw/unknown` or `withdraw/too-late`.
   */
  byParticipant(room: string, participant: string, digest: Digest, at: string): Withdrawal {
    const { rounds, senders, publications } = this.#rows
    return this.#database.transaction(() => {
      if (publications.release(room)) throw new ProtocolError('withdraw/too-late')
      const row = senders.find(room, participant, digest)
      if (!row) throw new ProtocolError('withdraw/unknown')
      const { contribution } = row
      rounds.requireOpen(room, row.round)
      senders.remove(room, participant, contribution)
      const erased = senders.of(room, contribution).length === 0
      this.#database.log(
        room,
        { event: 'withdrawn', participant, contribution, digest, by: 'participant', erased },
        at,
      )
      const retired = erased ? this.#bury(room, contribution, digest, at) : []
      return { digest, erased, retired, participants: [participant] }
    })
  }

  /** Whoever sent it. Throws ProtocolError `host/unknown-contribution` or `withdraw/too-late`. */
  byHost(room: string, digest: Digest, at: string): Withdrawal {
    const { rounds, contributions, senders, publications } = this.#rows
    return this.#database.transaction(() => {
      if (publications.release(room)) throw new ProtocolError('withdraw/too-late')
      const contribution = contributions.find(room, digest)
      if (contribution === undefined) throw new ProtocolError('host/unknown-contribution')
      const { round } = contributions.all(room).find((update) => update.contribution === contribution)!
      rounds.requireOpen(room, round)
      const participants = senders.of(room, contribution)
      senders.removeAll(room, contribution)
      this.#database.log(room, { event: 'withdrawn', contribution, digest, by: 'host', erased: true }, at)
      const retired = this.#bury(room, contribution, digest, at)
      return { digest, erased: true, retired, participants }
    })
  }

  /** The numbers of the versions that are retired with it. */
  #bury(room: string, contribution: number, digest: Digest, at: string): number[] {
    this.#rows.contributions.bury(room, contribution, at)
    return this.#rows.publications.retire(room, digest, at)
  }
}
