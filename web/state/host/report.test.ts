import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Overview } from '../../../relay/protocol/host.ts'
import { classPreset, manifestOf } from './plan.ts'
import { escapeHtml, type ReportInput, reportHtml } from './report.ts'
import { testModel } from './testing/model.ts'

const digest = (letter: string) => letter.repeat(64) as Overview['manifestDigest']

function input(title: string): ReportInput {
  const manifest = manifestOf(classPreset(testModel, title), testModel, 'poems', 'seed')
  return {
    manifest,
    manifestDigest: digest('d'),
    overview: {
      room: 'poems',
      title: manifest.title,
      manifestDigest: digest('d'),
      status: { connected: 0, contributions: 1, waiting: 0, versions: 2, joinable: false, closed: true },
      joinCode: null,
      participants: [{ participant: 'ab'.repeat(16), connected: false, progress: null, digest: digest('1') }],
      contributions: [
        {
          contribution: 1,
          digest: digest('1'),
          bytes: 129_000,
          examples: 12,
          norm: 1.69,
          acceptedAt: '2026-11-25T10:00:00.000Z',
          state: 'counts',
        },
      ],
      versions: [],
      candidate: null,
      audit: { lines: 4, hash: digest('e') },
    },
    text: { files: [{ name: 'a<b>.txt', bytes: new Uint8Array() }], examples: 64, counted: 8000 },
    baseLoss: 3.21,
    versionLosses: [
      { version: 1, contributions: 3, loss: 3.1 },
      { version: 2, contributions: 5, loss: 3.02 },
    ],
    scale: {
      points: [
        { scale: 1, loss: 3.02 },
        { scale: 1.4, loss: 2.99 },
      ],
      best: { scale: 1.4, loss: 2.99 },
      atOne: { scale: 1, loss: 3.02 },
    },
    writtenAt: '2026-11-25T11:00:00.000Z',
  }
}

describe('the report', () => {
  it('says what was measured, and names no other address and no script', () => {
    const html = reportHtml(input('Poems'))
    for (const part of [
      '3.210',
      '3.100',
      '3.020',
      '2.990',
      '1.40',
      'a&lt;b&gt;.txt',
      digest('1'),
      digest('e'),
    ]) {
      expect(html).toContain(part)
    }
    expect(html).not.toMatch(/<script|\son[a-z]+=|\sstyle=|(?:src|href)=|https?:/i)
    expect(html.match(/<circle/g)?.length).toBe(4)
  })

  it('speaks of pictures where the room learns from them', () => {
    const plain = input('Emoji')
    const manifest = { ...plain.manifest, base: { ...plain.manifest.base, family: 'emoji-dit' } }
    const [text, pictures] = [plain, { ...plain, manifest }].map(reportHtml)
    expect(text).toMatch(/steps of 4 examples, up to 128 tokens each/)
    expect(pictures).toMatch(/steps of 4 pictures/)
    expect(pictures).not.toMatch(/tokens? each|nats/)
  })

  it('lets its own style through its policy by digest', () => {
    const html = reportHtml(input('Poems'))
    const style = /<style>([\s\S]*)<\/style>/.exec(html)?.[1] ?? ''
    const wanted = createHash('sha256').update(style).digest('base64')
    expect(html).toContain(`content="default-src 'none'; style-src 'sha256-${wanted}'"`)
  })

  it('is the same page whatever a title holds', () => {
    const tags = (html: string) => html.match(/<\/?[a-z0-9]+/gi)?.length
    const plain = tags(reportHtml(input('Poems')))
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 60 }),
          fc.constantFrom('<script>alert(1)</script>', '"><img src=x onerror=alert(1)>', "'--></title><p>"),
        ),
        (title) => {
          expect(tags(reportHtml(input(title)))).toBe(plain)
        },
      ),
    )
    expect(escapeHtml(`<a b="c" d='e'>&`)).toBe('&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;')
  })
})
