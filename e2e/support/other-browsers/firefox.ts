/** The system's Firefox without a window, in a profile of its own: FIREFOX_PATH, or `firefox` or `firefox-esr` on the PATH. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Missing } from './commands.ts'
import { Marionette } from './marionette.ts'
import { OtherBrowser } from './other-browser.ts'
import { onPath, start, stop, until } from './programs.ts'

export async function openFirefox(): Promise<OtherBrowser | Missing> {
  const program = process.env.FIREFOX_PATH || onPath('firefox') || onPath('firefox-esr')
  if (!program) return { missing: 'no Firefox: install it, or set FIREFOX_PATH' }
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'oneround-firefox-'))
  const prefs = { 'marionette.port': 0, 'datareporting.policy.dataSubmissionEnabled': false }
  const lines = Object.entries(prefs).map(([name, value]) => `user_pref("${name}", ${value});`)
  fs.writeFileSync(path.join(profile, 'user.js'), `${lines.join('\n')}\n`)
  const child = start(program, ['--headless', '--no-remote', '--marionette', '--profile', profile])
  const end = async () => {
    await stop(child)
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
  return OtherBrowser.open(program, end, async () => {
    const file = path.join(profile, 'MarionetteActivePort')
    const port = await until(() => (fs.existsSync(file) ? Number(fs.readFileSync(file, 'utf8')) : 0))
    return Marionette.connect(port)
  })
}
