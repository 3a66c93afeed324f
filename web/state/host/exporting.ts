/** Files for the host to keep: each by itself, or all in one zip. Nothing of it is made by the relay but the facts. */
import { signal } from '@preact/signals'
import { zipSync } from 'fflate'
import { scaledAdapter } from '../../../models/adapters/scaled.ts'
import { readPeftAdapter, writePeftAdapter } from '../../../models/formats/peft.ts'
import { downloadVersion } from '../../../relay/client/download.ts'
import type { Version } from '../../../relay/protocol/messages.ts'
import { toProblem } from '../problems.ts'
import { saveFile } from '../save-file.ts'
import { problem } from '../store.ts'
import { fetchAuditLog, fetchOverview } from './host-http.ts'
import { hostManifest, hostManifestDigest, newestVersion, overview } from './host-store.ts'
import { baseLoss, measures, scaleCurve, versionLosses } from './measuring.ts'
import { reportHtml } from './report.ts'

export const exporting = signal(false)

async function pack(work: () => Promise<void>): Promise<void> {
  if (exporting.peek()) return
  exporting.value = true
  problem.value = null
  try {
    await work()
  } catch (error) {
    problem.value = toProblem(error)
  } finally {
    exporting.value = false
  }
}

function here() {
  const manifest = hostManifest.peek()
  const seen = overview.peek()
  if (!manifest || !seen) throw new Error('no room is at hand')
  return { manifest, seen, room: seen.room }
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
const utf8 = (text: string) => new TextEncoder().encode(text)

type Files = Record<string, Uint8Array>

/** Weights do not get smaller: they are stored, not packed. */
const zipped = (files: Files) => new Blob([zipSync(files, { level: 0 })], { type: 'application/zip' })

/** The PEFT folder as published, checked by its digests. */
async function publishedAdapter(room: string, version: Version): Promise<Files> {
  return Object.fromEntries(await downloadVersion(location.origin, room, version))
}

async function scaled(room: string, version: Version, scale: number): Promise<Files> {
  const { manifest } = here()
  const files = await publishedAdapter(room, version)
  const adapter = readPeftAdapter(files['adapter_config.json'], files['adapter_model.safetensors'])
  return { ...writePeftAdapter(scaledAdapter(adapter, scale), manifest.base.id) }
}

/** As it is at this moment, by the relay's latest word. */
async function report(): Promise<string> {
  const { manifest, room } = here()
  return reportHtml({
    manifest,
    manifestDigest: hostManifestDigest.peek(),
    overview: await fetchOverview(room),
    text: measures.peek(),
    baseLoss: baseLoss.peek(),
    versionLosses: versionLosses.peek(),
    scale: scaleCurve.peek(),
    writtenAt: new Date().toISOString(),
  })
}

export const saveReport = () =>
  pack(async () => {
    const html = await report()
    saveFile(`${here().room}-report.html`, new Blob([html], { type: 'text/html' }))
  })

export const saveManifest = () =>
  pack(async () => saveFile(`${here().room}-manifest.json`, json(here().manifest)))

export const saveAuditLog = () =>
  pack(async () => saveFile(`${here().room}-audit.jsonl`, await fetchAuditLog(here().room)))

export const saveAdapter = () =>
  pack(async () => {
    const { room } = here()
    const version = newestVersion.peek()
    if (version)
      saveFile(`${room}-v${version.version}-adapter.zip`, zipped(await publishedAdapter(room, version)))
  })

export const saveScaledAdapter = (version: Version, scale: number) =>
  pack(async () => {
    const { room } = here()
    const name = `${room}-v${version.version}-scale-${scale.toFixed(2)}-adapter.zip`
    saveFile(name, zipped(await scaled(room, version, scale)))
  })

const under = (folder: string, files: Files): Files =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${folder}/${name}`, bytes]))

export const saveEverything = () =>
  pack(async () => {
    const { manifest, room } = here()
    const version = newestVersion.peek()
    const best = scaleCurve.peek()
    const files: Files = {
      'report.html': utf8(await report()),
      'manifest.json': utf8(json(manifest)),
      'overview.json': utf8(json(await fetchOverview(room))),
      'audit.jsonl': utf8(await fetchAuditLog(room)),
    }
    if (version)
      Object.assign(files, under(`adapter-v${version.version}`, await publishedAdapter(room, version)))
    if (version && best && best.best.scale !== 1) {
      const folder = `adapter-v${version.version}-scale-${best.best.scale.toFixed(2)}`
      Object.assign(files, under(folder, await scaled(room, version, best.best.scale)))
    }
    saveFile(`${room}-everything.zip`, zipped(files))
  })
