/** The base model on its way here. */
import { bytes, bytesPerSecond, duration } from '../format.ts'

export const download = {
  label: 'Model download',
  downloading: (received: number, total: number) =>
    `Downloading the model: ${bytes(received)} of ${bytes(total)}`,
  speed: (perSecond: number, secondsLeft: number) =>
    `${bytesPerSecond(perSecond)} · ${duration(secondsLeft)} left`,
  verifying: 'Checking the model’s SHA-256…',
  loading: 'Loading the model onto the device…',
  fromCache: (size: number) => `${bytes(size)} came from this browser’s storage: no download needed.`,
  done: (size: number) => `Model downloaded and checked (${bytes(size)}).`,
  keptForNextTime: 'It is kept in this browser for the next visit.',
  pageKept: 'So is this page: both work without the network, and an update can be sent later.',
  notKept: 'This browser could not keep it; the next visit downloads it again.',
}
