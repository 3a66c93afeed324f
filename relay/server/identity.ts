/**
 * Who may do what. A participant is a random number and a token that only this relay can make (HMAC-SHA256 of room
 * and number under the data folder's key), so nothing is stored for people who join and leave. The host is whoever
 * knows the token printed at the start.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export interface Participant {
  readonly participant: string
  readonly token: string
}

export class ParticipantTokens {
  readonly #key: Uint8Array

  constructor(key: Uint8Array) {
    this.#key = key
  }

  create(room: string): Participant {
    const participant = randomBytes(16).toString('hex')
    return { participant, token: this.#token(room, participant) }
  }

  isValid(room: string, { participant, token }: Participant): boolean {
    return equalInConstantTime(token, this.#token(room, participant))
  }

  #token(room: string, participant: string): string {
    return createHmac('sha256', this.#key).update(`${room}\n${participant}`).digest('hex')
  }
}

/**
 * The same at every start on a data folder, so that a console goes on after the relay was started again, until the
 * host replaces the key. No room's name holds a space, so no participant's token is made from this text.
 */
export function hostTokenOf(key: Uint8Array): string {
  return createHmac('sha256', key).update('host token').digest('hex').slice(0, 32)
}

/** Takes as long for a wrong first character as for a wrong last one; hashing hides the lengths. */
export function equalInConstantTime(a: string, b: string): boolean {
  const hash = (text: string) => createHmac('sha256', 'oneround').update(text).digest()
  return timingSafeEqual(hash(a), hash(b))
}
