/** Each strategy's file says on top where it comes from, what it computes, and what that costs in clients and rank. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { type StrategyId, strategies } from './strategies.ts'

const FILES: Partial<Record<StrategyId, string>> = { svd: 'flexlora' }
const ids = Object.keys(strategies) as StrategyId[]

it.each(['clip' as const, ...ids])('%s', (id) => {
  const file = new URL(`./${id in FILES ? FILES[id as StrategyId] : id}.ts`, import.meta.url)
  const [, top = ''] = /^\/\*\*([\s\S]*?)\*\//.exec(readFileSync(file, 'utf8')) ?? []
  expect(top).toMatch(/https:\/\/arxiv\.org\/abs\/\d{4}\.\d{5}/)
  // The formula stands by itself, indented.
  expect(top).toMatch(/^ \* {3}\S.*(=|<-|the sign of)/m)
  const words = top.replace(/\s*\n \* ?/g, ' ')
  if (id !== 'clip') expect(words).toMatch(/[Ww]eights: |[Uu]nweighted/)
  // R is the sum of the clients' ranks r.
  expect(words).toMatch(/\bK\b[^.]*\b(r|K)²?[^.]* a module|\bR²?\b[^.]*the sum of the ranks/)
})
