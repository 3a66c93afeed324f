/** Starts the host's console in the page's place. */
import { render } from 'preact'
import { parseAddress } from '../../state/address.ts'
import { followAddress } from '../../state/host/place.ts'
import { takeToken } from '../../state/host/token.ts'
import { address, secureContext } from '../../state/store.ts'
import { console as text } from '../../strings/host.ts'
import { Console } from './console.tsx'

export function startConsole(root: Element): void {
  takeToken()
  followAddress()
  // `?backend=` forces one here too.
  address.value = parseAddress(location.pathname, location.search)
  secureContext.value = window.isSecureContext
  document.title = text.name
  root.replaceChildren()
  render(<Console />, root)
}
