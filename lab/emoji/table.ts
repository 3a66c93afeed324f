/** The experiment's outcome as a table in Markdown. */
import type { Losses } from './picture-losses.ts'

export interface Result {
  readonly seed: string
  readonly steps: number
  readonly batch: number
  readonly rank: number
  readonly alpha: number
  readonly learningRate: number
  readonly device: string
  /** Pictures each client trains on. */
  readonly clients: Readonly<Record<string, number>>
  readonly heldOut: number
  /** The largest of the merged adapter's ranks. */
  readonly mergedRank: number
  readonly loss: Readonly<Record<string, Losses>>
}

export function resultTable({ loss, clients }: Result): string {
  const categories = Object.keys(clients)
  const rows = Object.entries(loss).map(([name, { all, splits, categories: own }]) => {
    const title = name in clients ? `client ${name} (${clients[name]})` : name
    const change = `${(100 * (all / loss.base.all - 1)).toFixed(1)} %`
    return [
      title,
      `**${all.toFixed(4)}**`,
      change,
      ...['heldout', 'unseen'].map((split) => splits[split].toFixed(4)),
      ...categories.map((category) => own[category].toFixed(3)),
    ]
  })
  const head = ['', 'all', 'change', 'heldout', 'unseen', ...categories]
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n')
}
