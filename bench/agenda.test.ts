/** Parts one after another, contestants in turns, and what a bench says when its command line is wrong. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type Part, runAgenda } from './agenda.ts'
import { takeTurns } from './turns.ts'

describe('an agenda', () => {
  it('says how far it is and how long the rest will take, by what the parts before took', async () => {
    let ms = 0
    const lines: string[] = []
    const part = (name: string, seconds: number, takes: number): Part => ({
      name,
      seconds,
      run: async () => {
        ms += takes * 1000
      },
    })
    const sections = {
      first: { parts: [part('a', 10, 20), part('b', 10, 20)], report: () => 1 },
      second: { parts: [part('c', 30, 60)], report: () => 2 },
    }
    const faults: string[] = []
    const { reports, times } = await runAgenda(sections, {
      log: (line) => lines.push(line),
      faults,
      now: () => ms,
    })
    expect(lines).toEqual([
      '[1 of 3, about 50 s left] first: a',
      '[2 of 3, about 1 min 20 s left] first: b',
      '[3 of 3, about 1 min 0 s left] second: c',
    ])
    expect(reports).toEqual({ first: 1, second: 2 })
    expect(times.map(({ seconds }) => seconds)).toEqual([20, 20, 60])
    expect(faults).toEqual([])
  })

  it('goes on after a part that fails, and names it', async () => {
    const ran: string[] = []
    const faults: string[] = []
    const bad: Part = {
      name: 'bad',
      seconds: 1,
      run: () => Promise.reject(new Error('no such device')),
    }
    const good: Part = {
      name: 'good',
      seconds: 1,
      run: async () => {
        ran.push('good')
      },
    }
    await runAgenda({ some: { parts: [bad, good], report: () => ran } }, { log: () => {}, faults })
    expect(ran).toEqual(['good'])
    expect(faults).toEqual(['some, bad: no such device'])
  })
})

describe('turns', () => {
  it('take one round more than are timed, everybody in each', async () => {
    const order: string[] = []
    const contestant = (name: string) => async (round: number) => {
      order.push(`${name}${round}`)
      return round
    }
    const readings = await takeTurns([contestant('a'), contestant('b')], { most: 2, budgetMs: 1e9 })
    expect(order).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2'])
    expect(readings).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ])
  })

  it('time one round even where there is no time', async () => {
    const readings = await takeTurns([async (round: number) => round], { most: 5, budgetMs: -1 })
    expect(readings).toEqual([[0, 1]])
  })
})

it('a wrong option ends a bench with 2, one sentence, and one JSON object alone on stdout', async () => {
  const file = fileURLToPath(new URL('./merge.ts', import.meta.url))
  const args = ['--import', 'tsx', file, '--json', '--before', '1,x']
  const { code, stdout, stderr } = await new Promise<{ code: unknown; stdout: string; stderr: string }>(
    (resolve) =>
      execFile(process.execPath, args, (error, stdout, stderr) =>
        resolve({ code: error?.code, stdout, stderr }),
      ),
  )
  expect(code).toBe(2)
  expect(JSON.parse(stdout)).toEqual({ error: { code: 'usage', message: stderr.trim() } })
  expect(stderr.trim()).toBe('--before takes whole numbers from 1 to 1023, not "x".')
})
