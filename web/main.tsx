/** Starts the page. The first script holds the invitation alone; screens, sockets and models come later. */
import { render } from 'preact'
import { App } from './app.tsx'
import { isRoundPage } from './state/address.ts'
import { exposeDiagnostics } from './state/diagnostics.ts'
import { isConsole } from './state/host/place.ts'
import { open } from './state/opening.ts'
import { problems } from './strings/problems.ts'
import './styles/tokens.css'
import './styles/base.css'
import './styles/layout.css'
import './styles/controls.css'
import './styles/screens.css'
import './styles/pictures.css'
import './styles/panel.css'
import './styles/motion.css'

exposeDiagnostics()
const root = document.getElementById('app')
if (!root) throw new Error('index.html has no #app')

/** Whether it did not come or did not start, only the browser can say. */
function partMissing(error: unknown): void {
  console.error(error)
  if (root) root.textContent = problems.partMissing
}

if (isConsole(location.pathname)) {
  // The host's console is an application of its own in the same page: participants fetch nothing of it.
  import('./screens/host/start.tsx').then(({ startConsole }) => startConsole(root)).catch(partMissing)
} else if (isRoundPage(location.pathname)) {
  import('./screens/what-happened/start.tsx')
    .then(({ startRoundPage }) => startRoundPage(root))
    .catch(partMissing)
} else {
  root.replaceChildren()
  render(<App />, root)
  void open()
}
