/** The end of a bench: its report on stdout as one JSON object, or, under --json, its error as one; and the exit status. */
export async function reportAndExit(
  bench: () => Promise<unknown>,
  { json, log }: { readonly json: boolean; readonly log: (line: string) => void },
): Promise<never> {
  try {
    const report = await bench()
    process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${JSON.stringify(report, null, 1)}\n`)
    process.exit(0)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    log(error instanceof Error && error.stack ? error.stack : message)
    if (json) process.stdout.write(`${JSON.stringify({ error: { code: 'bench/failed', message } })}\n`)
    process.exit(1)
  }
}
