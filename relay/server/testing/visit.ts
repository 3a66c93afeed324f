/** A visitor who sends nothing: connects, joins and hangs up, every third time without a goodbye. */
import { io } from 'socket.io-client'
import { PROTOCOL_VERSION } from '../../protocol/limits.ts'

export async function visit(url: string, room: string, k: number): Promise<void> {
  const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('connect_error', reject)
  })
  const answer = await socket.timeout(20_000).emitWithAck('join', { protocolVersion: PROTOCOL_VERSION, room })
  if (!answer.ok) throw new Error(`a visitor was refused: ${answer.code}`)
  if (k % 3 === 0) socket.io.engine.close()
  else socket.disconnect()
}
