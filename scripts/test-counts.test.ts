import { describe, expect, it } from 'vitest'
import { countResults, type VitestReport } from './test-counts.ts'

const report = (changes: Partial<VitestReport>): VitestReport => ({
  numPassedTests: 3,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [{ status: 'passed', assertionResults: [{ status: 'passed' }] }],
  ...changes,
})

describe('countResults', () => {
  it('counts tests', () => {
    expect(countResults(report({ numPendingTests: 2 }), true)).toEqual({ passed: 3, failed: 0, skipped: 2 })
    const testResults = [{ status: 'failed', assertionResults: [{ status: 'failed' }] }]
    expect(countResults(report({ numFailedTests: 1, testResults }), false).failed).toBe(1)
  })

  it('counts a file that does not load', () => {
    const testResults = [{ status: 'failed', assertionResults: [] }]
    expect(countResults(report({ testResults }), false).failed).toBe(1)
  })

  it('counts a run that fails outside any test, and one that runs nothing', () => {
    expect(countResults(report({}), false).failed).toBe(1)
    expect(countResults(report({ numPassedTests: 0 }), true).failed).toBe(1)
  })
})
