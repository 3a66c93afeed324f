/**
 * A room's report: one HTML file that needs nothing else. No script, nothing from elsewhere, and a policy of its own
 * that would refuse both; its one style sheet is allowed by digest. Everything in it is escaped: titles come from
 * people. Pure.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { mediumOf } from '../../../models/families/media.ts'
import type { Overview } from '../../../relay/protocol/host.ts'
import { isStepped, type Manifest } from '../../../relay/protocol/manifest.ts'
import { bytes, count, loss, significant } from '../../format.ts'
import { plan } from '../../strings/host-plan.ts'
import { report as text } from '../../strings/host-report.ts'
import { join } from '../../strings/join.ts'
import { rounds } from '../../strings/rounds.ts'
import { pseudonym } from '../pseudonym.ts'
import { type ChartPoint, chartOf, tickLabels } from './chart.ts'
import type { KeptMeasures } from './keeping.ts'
import type { ScaleCurve, VersionLoss } from './measuring.ts'

export interface ReportInput {
  readonly manifest: Manifest
  readonly manifestDigest: string
  readonly overview: Overview
  readonly text: Pick<KeptMeasures, 'files' | 'examples' | 'counted'> | null
  readonly baseLoss: number | null
  readonly versionLosses: readonly VersionLoss[]
  readonly scale: Pick<ScaleCurve, 'points' | 'best' | 'atOne'> | null
  /** ISO 8601. */
  readonly writtenAt: string
}

const STYLE = `:root{color-scheme:light dark}
body{max-width:52rem;margin:2.5rem auto;padding:0 1.25rem;font:1rem/1.6 system-ui,sans-serif;color:#1c211f;background:#fff}
h1{font-size:2rem;line-height:1.2;margin:0 0 .25rem}h2{font-size:1.25rem;margin:2.25rem 0 .5rem}
p{margin:.5rem 0}.note{color:#57615c;font-size:.875rem}
table{width:100%;border-collapse:collapse;font-size:.9375rem;font-variant-numeric:tabular-nums}
th,td{padding:.375rem .75rem .375rem 0;border-bottom:1px solid #dfdcd2;text-align:left;vertical-align:top}
td.n,th.n{text-align:right}code,td.d{font:.8125rem/1.6 ui-monospace,monospace;overflow-wrap:anywhere}
svg{display:block;width:100%;height:auto;max-width:40rem}.line{fill:none;stroke:#16705d;stroke-width:2}
.dot{fill:#16705d}.best{fill:#c4700b}.grid{stroke:#dfdcd2}.base{stroke:#838d87;stroke-dasharray:4 4}
text{font:14px system-ui,sans-serif;fill:#57615c}
@media (prefers-color-scheme:dark){body{color:#e9edea;background:#121615}.note{color:#a5b1ab}
th,td{border-color:#2e3633}.line{stroke:#66cbb1}.dot{fill:#66cbb1}.best{fill:#f0ae54}.grid{stroke:#2e3633}text{fill:#a5b1ab}}
@media print{body{margin:0;max-width:none}}`

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export const escapeHtml = (words: string) => words.replace(/[&<>"']/g, (letter) => ENTITIES[letter])

function base64(data: Uint8Array): string {
  return btoa(String.fromCharCode(...data))
}

const styleDigest = () => base64(sha256(new TextEncoder().encode(STYLE)))

export function reportHtml(input: ReportInput): string {
  const { manifest, overview } = input
  const title = escapeHtml(overview.title || overview.room)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${styleDigest()}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ${escapeHtml(text.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p class="note">${escapeHtml(text.written(moment(input.writtenAt)))}</p>
${summary(input)}
${quality(input)}
${terms(manifest, input.manifestDigest)}
${versions(overview)}
${contributions(overview)}
${log(overview)}
</main>
</body>
</html>
`
}

/** `2026-11-25T14:00:54.910Z` -> `2026-11-25 14:00:54 UTC` */
const moment = (iso: string) => `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`

const draws = ({ base }: Manifest) => mediumOf(base.family) === 'pictures'

const section = (title: string, body: string) => `<h2>${escapeHtml(title)}</h2>\n${body}`
const paragraph = (words: string) => `<p>${escapeHtml(words)}</p>`

function summary({ overview }: ReportInput): string {
  const { status } = overview
  return paragraph(text.summary(status.contributions, status.versions, status.closed))
}

function quality({ manifest, text: measured, baseLoss, versionLosses, scale }: ReportInput): string {
  if (!measured || (baseLoss === null && versionLosses.length === 0)) {
    return section(text.quality, paragraph(text.notMeasured))
  }
  const names = measured.files.map(({ name }) => name).join(', ')
  const { examples, counted } = measured
  const on = draws(manifest)
    ? text.measuredOnPictures(names, examples)
    : text.measuredOn(names, examples, counted)
  const parts = [paragraph(on)]
  const rows = versionLosses.map((one) => [count(one.version), count(one.contributions), loss(one.loss)])
  if (baseLoss !== null) rows.unshift([text.base, '', loss(baseLoss)])
  parts.push(
    table([text.version, text.contributionsColumn, text.loss], rows, [1, 2]),
    chart(
      versionLosses.map(({ version, loss: y }) => ({ x: version, y })),
      baseLoss,
      true,
      null,
      text.version,
      text.chartByVersion,
    ),
  )
  if (scale) {
    parts.push(
      paragraph(text.scale(scale.best.scale, scale.best.loss, scale.atOne.loss)),
      chart(
        scale.points.map(({ scale: x, loss: y }) => ({ x, y })),
        null,
        false,
        scale.points.findIndex((point) => point.scale === scale.best.scale),
        text.scaleName,
        text.chartByScale,
      ),
    )
  }
  return section(text.quality, parts.join('\n'))
}

const WIDTH = 640
const HEIGHT = 260

function chart(
  points: readonly ChartPoint[],
  reference: number | null,
  whole: boolean,
  best: number | null,
  xName: string,
  label: string,
): string {
  if (points.length === 0) return ''
  const drawn = chartOf({ points, reference, width: WIDTH, height: HEIGHT, type: 14, whole })
  const { plot } = drawn
  const at = (value: number) => value.toFixed(1)
  const yLabels = tickLabels(drawn.yTicks)
  const xLabels = tickLabels(drawn.xTicks)
  const horizontal = (top: number, name: string) =>
    `<line class="${name}" x1="${at(plot.left)}" x2="${at(plot.right)}" y1="${at(top)}" y2="${at(top)}"/>`
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(label)}">`,
    ...drawn.yTicks.map(
      ({ at: top }, i) =>
        `${horizontal(top, 'grid')}<text x="${at(plot.left - 7)}" y="${at(top + 5)}" text-anchor="end">${yLabels[i]}</text>`,
    ),
    ...drawn.xTicks.map(
      ({ at: left }, i) =>
        `<text x="${at(left)}" y="${at(plot.bottom + 20)}" text-anchor="middle">${xLabels[i]}</text>`,
    ),
    `<text x="${at(plot.right)}" y="${HEIGHT - 4}" text-anchor="end">${escapeHtml(xName)}</text>`,
    drawn.reference === null ? '' : horizontal(drawn.reference, 'base'),
    `<polyline class="line" points="${drawn.points.map(({ left, top }) => `${at(left)},${at(top)}`).join(' ')}"/>`,
    ...drawn.points.map(
      ({ left, top }, i) =>
        `<circle class="${i === best ? 'best' : 'dot'}" cx="${at(left)}" cy="${at(top)}" r="${i === best ? 7 : 4}"/>`,
    ),
    '</svg>',
  ].join('')
}

/** `figures`: the columns to align at their ends. */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  figures: readonly number[],
): string {
  const headCell = (words: string, column: number) =>
    `<th scope="col"${figures.includes(column) ? ' class="n"' : ''}>${escapeHtml(words)}</th>`
  const cell = (words: string, column: number) => {
    const kind = figures.includes(column) ? ' class="n"' : /^[0-9a-f]{64}$/.test(words) ? ' class="d"' : ''
    return `<td${kind}>${escapeHtml(words)}</td>`
  }
  const line = (cells: string) => `<tr>${cells}</tr>`
  return `<table><thead>${line(head.map(headCell).join(''))}</thead><tbody>${rows
    .map((row) => line(row.map(cell).join('')))
    .join('')}</tbody></table>`
}

function terms(manifest: Manifest, digest: string): string {
  const { base, adapter, recipe, strategy, publishEvery, privacy, mode } = manifest
  const rows = [
    [
      text.model,
      `${base.id}, ${join.modelFacts(
        base.files.reduce((sum, file) => sum + file.bytes, 0),
        base.license,
      )}`,
    ],
    [text.adapter, text.adapterFacts(plan.forms[adapter.form ?? 'lora'].name, adapter.rank)],
    [text.recipe, plan.recipeFacts(recipe.steps, recipe.batch, draws(manifest) ? null : recipe.tokens)],
    [text.merge, plan.strategies[strategy.id].name],
    [text.publishing, join.publishingFacts(publishEvery)],
    [text.mode, isStepped(mode) ? rounds.mode(mode) : plan.modes['one-shot'].name],
    [text.privacy, privacy ? text.privacyFacts(privacy.epsilon, privacy.delta) : text.noPrivacy],
    [text.manifest, digest],
  ]
  return section(text.terms, table([text.term, text.value], rows, []))
}

function versions({ versions: published }: Overview): string {
  if (published.length === 0) return section(text.versions, paragraph(text.noVersions))
  const rows = published.map((one) => [
    count(one.version),
    count(one.contributions),
    moment(one.createdAt),
    one.retired ? text.retired : one.digest,
  ])
  return section(
    text.versions,
    table([text.version, text.contributionsColumn, text.published, text.digest], rows, [1]),
  )
}

function contributions({ contributions: all, participants }: Overview): string {
  if (all.length === 0) return section(text.contributions, paragraph(text.noContributions))
  const names = new Map(participants.map(({ digest, participant }) => [digest, participant]))
  const rows = all.map((one) => [
    count(one.contribution),
    pseudonym(names.get(one.digest) ?? one.digest),
    bytes(one.bytes),
    count(one.examples),
    one.norm === null ? '' : significant(one.norm),
    one.digest,
  ])
  return section(
    text.contributions,
    table([text.number, text.from, text.size, text.examples, text.norm, text.digest], rows, [2, 3, 4]),
  )
}

const log = ({ audit }: Overview) =>
  section(
    text.audit,
    `${paragraph(text.auditFacts(audit.lines))}<p><code>${escapeHtml(audit.hash)}</code></p>`,
  )
