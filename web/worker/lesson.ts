/**
 * The leak lesson in a tab's worker: the embedded tiny model, whatever the room's base is, and the experiment of
 * lab/leak on it. The model's files come with the page, and are kept like a room's base, by their SHA-256.
 */

import { type LeakEvent, type LeakOptions, leakExperiment } from '../../lab/leak/experiment.ts'
import type { Engine } from '../../models/backend/engine.ts'
import { nextTask } from '../../models/backend/next-task.ts'
import { catalog } from '../../models/catalog/catalog.ts'
import { loadModel } from '../../models/catalog/load.ts'
import configUrl from '../../models/catalog/tiny/config.json?url'
import weightsUrl from '../../models/catalog/tiny/model.safetensors?url'
import tokenizerUrl from '../../models/catalog/tiny/tokenizer.json?url'
import tokenizerConfigUrl from '../../models/catalog/tiny/tokenizer_config.json?url'
import { sha256Hex } from '../../models/sha256.ts'
import { PageError } from '../state/problems.ts'
import { problems } from '../strings/problems.ts'
import { openFileCache } from './file-cache.ts'

const URLS: Readonly<Record<string, string>> = {
  'config.json': configUrl,
  'model.safetensors': weightsUrl,
  'tokenizer.json': tokenizerUrl,
  'tokenizer_config.json': tokenizerConfigUrl,
}

async function tinyFiles(): Promise<Map<string, Uint8Array>> {
  const tiny = catalog.find(({ id }) => id === 'tiny')
  if (!tiny) throw new Error('the catalog has no tiny model')
  const cache = openFileCache()
  const files = new Map<string, Uint8Array>()
  for (const { name, sha256 } of tiny.files) {
    const kept = await cache.read(sha256)
    if (kept && sha256Hex(kept) === sha256) {
      files.set(name, kept)
      continue
    }
    const response = await fetch(URLS[name]).catch((cause) => {
      throw new PageError('model/interrupted', problems.modelInterrupted(name), { cause })
    })
    if (!response.ok) throw new PageError('model/unavailable', problems.modelFile(name, response.status))
    const bytes = new Uint8Array(await response.arrayBuffer())
    if (sha256Hex(bytes) !== sha256) throw new PageError('model/digest', problems.modelDigest(name))
    await cache.write(sha256, bytes)
    files.set(name, bytes)
  }
  return files
}

/** Ends after the step at hand once `signal` says so. */
export async function runLesson(
  engine: Engine,
  options: LeakOptions,
  onEvent: (event: LeakEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const loaded = loadModel(engine, await tinyFiles())
  if (loaded.medium !== 'text') throw new Error('the tiny model writes text')
  try {
    for await (const event of leakExperiment(loaded, options)) {
      if (signal.aborted) return
      onEvent(event)
      await nextTask()
    }
  } finally {
    loaded.dispose()
  }
}
