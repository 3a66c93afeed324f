/** Starts the page about a room's round in the page's place. */
import { render } from 'preact'
import { parseAddress } from '../../state/address.ts'
import { address, secureContext } from '../../state/store.ts'
import { followRoom } from '../../state/what-happened/following.ts'
import { happened as text } from '../../strings/what-happened.ts'
import '../../styles/what-happened.css'
import { WhatHappened } from './page.tsx'

export function startRoundPage(root: Element): void {
  address.value = parseAddress(location.pathname, location.search)
  secureContext.value = window.isSecureContext
  document.title = `${text.title} · oneround`
  root.replaceChildren()
  render(<WhatHappened />, root)
  void followRoom()
}
