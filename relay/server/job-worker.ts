/** The thread behind job-thread.ts: does one job at a time and answers with its result or with the error's code. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { parentPort } from 'node:worker_threads'
import type { Job, JobAnswer, JobRequest } from './job-thread.ts'
import { JobThread } from './job-thread.ts'
import { compareUpdate, inspectUpdate } from './jobs.ts'
import { mergePart, VersionMerger } from './version-merger.ts'

const port = parentPort
if (!port) throw new Error('job-worker.ts runs only as a worker thread')

/** One file in memory at a time. */
function* contents(paths: readonly string[]): Generator<Uint8Array> {
  for (const path of paths) yield readFileSync(path)
}

/** Merges of many updates are shared out to threads like this one. */
const merger = new VersionMerger(() => new JobThread())

/** What an answer is made of moves to the other thread instead of being copied: a version may have gigabytes. */
function buffersOf(answer: unknown): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>()
  const visit = (value: unknown): void => {
    if (ArrayBuffer.isView(value)) {
      if (value.buffer instanceof ArrayBuffer) found.add(value.buffer)
    } else if (typeof value === 'object' && value !== null) {
      for (const one of Object.values(value)) visit(one)
    }
  }
  visit(answer)
  return [...found]
}

async function perform(job: Job): Promise<unknown> {
  switch (job.kind) {
    case 'inspect':
      return inspectUpdate(job.manifest, job.expectedDigest, job.bytes)
    case 'merge': {
      const { manifest, updates, startPath, noiseKey } = job
      const start = startPath === null ? null : await readFile(startPath)
      const origin = job.origin ? { ...job.origin, bytes: await readFile(job.origin.path) } : null
      return merger.merge({ manifest, updates, start, noiseKey, origin })
    }
    case 'merge-part':
      return mergePart(job, job.modules)
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
  port.postMessage(answer, answer.ok ? buffersOf(answer.result) : [])
})
