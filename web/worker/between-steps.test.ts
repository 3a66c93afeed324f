import { describe, expect, it } from 'vitest'
import { BetweenSteps } from './between-steps.ts'

const settle = () => new Promise((resolve) => setTimeout(resolve))

describe('jobs beside a training run', () => {
  it('wait for the end of a step and run one after the other', async () => {
    const between = new BetweenSteps()
    const log: string[] = []
    const job = (name: string) =>
      between.add(async () => {
        log.push(`${name} begins`)
        await settle()
        log.push(`${name} ends`)
        return name
      })
    const first = job('a')
    const second = job('b')
    await settle()
    expect(log).toEqual([])
    await between.run()
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends'])
    expect(await Promise.all([first, second])).toEqual(['a', 'b'])
  })

  it('run at once during a pause, and the run waits for them', async () => {
    const between = new BetweenSteps()
    between.rest()
    let finish = () => {}
    const job = between.add(() => new Promise<void>((resolve) => (finish = resolve)))
    await settle()
    let awake = false
    const waking = between.wake().then(() => {
      awake = true
    })
    await settle()
    expect(awake).toBe(false)
    finish()
    await waking
    await job
    const late = between.add(async () => 'late')
    await settle()
    await between.run()
    expect(await late).toBe('late')
  })

  it('hand on a failure to whoever asked and go on', async () => {
    const between = new BetweenSteps()
    const failing = between.add(() => Promise.reject(new Error('no')))
    const next = between.add(async () => 1)
    failing.catch(() => {})
    await between.run()
    await expect(failing).rejects.toThrow('no')
    expect(await next).toBe(1)
  })
})
