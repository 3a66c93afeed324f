/** What will run the model here, as measured: the device in words and what that means for the wait. */
import { capitalised } from '../format.ts'
import { deviceNotes, thisBrowser } from '../state/device-notes.ts'
import { address, device, deviceProblem } from '../state/store.ts'
import { join as text } from '../strings/join.ts'

export function DeviceStatus() {
  const found = device.value
  const forced = address.value.backend
  const status = found ? (found.backend === 'webgpu' && !found.software ? 'good' : 'slow') : 'busy'
  if (deviceProblem.value) {
    return <span data-testid="device-problem">{deviceProblem.value.message}</span>
  }
  return (
    <>
      <span class="status">
        <span class="status-dot" data-status={status} />
        <span data-testid="device" data-backend={found?.backend} data-executor={found?.executor}>
          {found ? capitalised(found.device) : text.deviceChecking}
        </span>
      </span>
      <span class="note device-note">
        {found &&
          deviceNotes(found, thisBrowser())
            .map((note) => text.deviceNotes[note])
            .join(' ')}
        {found && forced !== 'auto' && ` ${text.deviceForced(forced)}`}
      </span>
    </>
  )
}
