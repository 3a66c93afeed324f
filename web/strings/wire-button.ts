/** The way to the log of messages, at the foot of every screen. */
import { bytes, counted } from '../format.ts'

export const wire = {
  open: 'Everything sent and received',
  openFacts: (messages: number, sentBytes: number, receivedBytes: number) =>
    `${counted(messages, 'message')}: ${bytes(sentBytes)} sent, ${bytes(receivedBytes)} received`,
}
