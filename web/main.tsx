/** Starts the page. The first script holds the invitation alone; screens, sockets and models come later. */
import { render } from 'preact'
import { App } from './app.tsx'
import { exposeDiagnostics } from './state/diagnostics.ts'
import { open } from './state/opening.ts'
import './styles/tokens.css'
import './styles/base.css'
import './styles/layout.css'
import './styles/controls.css'
import './styles/screens.css'
import './styles/panel.css'
import './styles/motion.css'

exposeDiagnostics()
const root = document.getElementById('app')
if (!root) throw new Error('index.html has no #app')
root.replaceChildren()
render(<App />, root)
void open()
