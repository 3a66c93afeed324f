/**
 * From which updates the newest version is merged, by the list of digests that the relay keeps beside it: so "yours
 * is in it" is read, not guessed. Asked for once a version, and only by whoever has sent.
 */
import { effect } from '@preact/signals'
import * as v from 'valibot'
import { latestVersion, manifest, receipt, versionContents } from './store.ts'
import { recordWire } from './wire.ts'

const aboutSchema = v.object({ updateDigests: v.pipe(v.array(v.string()), v.maxLength(10_000)) })

const asked = new Set<string>()

effect(() => {
  const version = latestVersion.value
  const room = manifest.value
  if (!version || !room || !receipt.value || asked.has(version.digest)) return
  asked.add(version.digest)
  const path = `/api/rooms/${encodeURIComponent(room.room)}/versions/${version.version}/version.json`
  read(path)
    .then((updates) => {
      versionContents.value = new Map(versionContents.peek()).set(version.version, updates)
    })
    // The next version, or a reload, asks again.
    .catch(() => asked.delete(version.digest))
})

async function read(path: string): Promise<readonly string[]> {
  const response = await fetch(path)
  const answer = await response.text()
  recordWire({ direction: 'in', event: `GET ${path}`, bytes: answer.length, payload: answer })
  if (!response.ok) throw new Error(`${response.status}`)
  return v.parse(aboutSchema, JSON.parse(answer)).updateDigests
}
