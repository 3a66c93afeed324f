/**
 * What a vitest run came to, from its JSON report. A run can fail without a failed test (a file that does not
 * load, an error outside any test, nothing run at all); each of these counts as a failure here, so that the last
 * line of `npm test` cannot say 0 failed for a run that was not good.
 */
export interface TestCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: ReadonlyArray<{
    readonly status: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string }>
  }>
}

/** `succeeded`: whether vitest itself exited with 0. */
export function countResults(report: VitestReport, succeeded: boolean): TestCounts {
  const brokenFiles = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  ).length
  const passed = report.numPassedTests
  const skipped = report.numPendingTests + report.numTodoTests
  let failed = report.numFailedTests + brokenFiles
  if (failed === 0 && (!succeeded || passed === 0)) failed = 1
  return { passed, failed, skipped }
}
