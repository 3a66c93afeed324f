/** The thread behind job-thread.ts: does one job at a time and answers with its result or with the error's code. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { parentPort } from 'node:worker_threads'
import type { Job, JobAnswer, JobRequest } from './job-thread.ts'
import { compareUpdate, inspectUpdate, mergeVersion } from './jobs.ts'

const port = parentPort
if (!port) throw new Error('job-worker.ts runs only as a worker thread')

/** One file in memory at a time. */
function* contents(paths: readonly string[]): Generator<Uint8Array> {
  for (const path of paths) yield readFileSync(path)
}

async function perform(job: Job): Promise<unknown> {
  switch (job.kind) {
    case 'inspect':
      return inspectUpdate(job.manifest, job.expectedDigest, job.bytes)
    case 'merge': {
      const updates = await Promise.all(
        job.updates.map(async ({ digest, path }) => ({ digest, bytes: await readFile(path) })),
      )
      const start = job.startPath === null ? null : await readFile(job.startPath)
      return mergeVersion(job.manifest, updates, start)
    }
    case 'compare':
      return compareUpdate(job.manifest, await readFile(job.path), contents(job.others))
    default:
      return job satisfies never
  }
}

port.on('message', async ({ id, job }: JobRequest) => {
  let answer: JobAnswer
  try {
    answer = { id, ok: true, result: await perform(job) }
  } catch (error) {
    const { code, message, stack } = error as Partial<Record<'code' | 'message' | 'stack', unknown>>
    answer = { id, ok: false, code: String(code ?? ''), message: String(message), stack: String(stack ?? '') }
  }
  port.postMessage(answer)
})
