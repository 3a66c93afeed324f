/**
 * Keeps a worker's own file from being imported by the files that it loads. Bundlers leave what several files need in the
 * first of them, so that the later ones import it from there. WebKit, unlike the others (seen in WebKitGTK 2.50.6), then
 * runs that file once more in the same worker: a second set of listeners answers every message too, from a state of its own
 * in which nothing is loaded. With exports kept as they are written, which for a worker is none, what is shared moves into
 * files of its own.
 */
import type { Plugin } from 'vite'

/** For `worker.plugins`. A build in which a file still imports the worker's own fails. */
export function workerRunsOnce(): Plugin {
  return {
    name: 'oneround:worker-runs-once',
    // Vite asks for the opposite, and takes no other word in its own options.
    options: (options) => ({ ...options, preserveEntrySignatures: 'strict' }),
    generateBundle(_, bundle) {
      const chunks = Object.values(bundle).filter((file) => file.type === 'chunk')
      const entries = new Set(chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => fileName))
      for (const { fileName, imports, dynamicImports } of chunks) {
        const entry = [...imports, ...dynamicImports].find((name) => entries.has(name))
        if (entry) this.error(`${fileName} imports ${entry}, which WebKit would then run a second time`)
      }
    },
  }
}
