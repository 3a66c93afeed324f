/**
 * The build's side of the service worker: bundles it into /service-worker.js with the list of all files of this
 * build and their digests (weights apart, which the page's worker keeps when it has fetched them), and puts the web app's manifest and icons where its own addresses say they are.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { build, type Plugin } from 'vite'

const ICONS = ['192.png', '512.png', 'maskable-512.png', 'apple-180.png']

const sha256 = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex')

export function offlinePage(root: string): Plugin {
  const here = path.join(root, 'web')
  return {
    name: 'oneround:offline-page',
    apply: 'build',
    enforce: 'post',
    buildStart() {
      this.emitFile({
        type: 'asset',
        fileName: 'manifest.webmanifest',
        source: fs.readFileSync(path.join(here, 'manifest.webmanifest')),
      })
      for (const name of ICONS) {
        const source = fs.readFileSync(path.join(here, 'icons', name))
        this.emitFile({ type: 'asset', fileName: `icons/${name}`, source })
      }
    },
    generateBundle: {
      // After whatever else still writes files, the page itself among them.
      order: 'post',
      async handler(_, bundle) {
        const files = Object.values(bundle)
          .filter(({ fileName }) => !fileName.endsWith('.safetensors'))
          .map((file) => ({
            path: `/${file.fileName}`,
            sha256: sha256(file.type === 'chunk' ? file.code : file.source),
          }))
          .sort((a, b) => (a.path < b.path ? -1 : 1))
        if (!files.some((file) => file.path === '/index.html')) throw new Error('the build has no page')
        const id = sha256(JSON.stringify(files)).slice(0, 16)
        this.emitFile({
          type: 'asset',
          fileName: 'service-worker.js',
          source: await bundleServiceWorker(path.join(here, 'offline/service-worker.ts'), { id, files }),
        })
      },
    },
  }
}

/** A script of its own, without imports: browsers differ in which service workers may be modules. */
async function bundleServiceWorker(entry: string, about: unknown): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    define: { __BUILD__: JSON.stringify(about) },
    build: { write: false, lib: { entry, formats: ['iife'], name: 'serviceWorker' } },
  })
  const [{ output }] = Array.isArray(built) ? built : [built as Exclude<typeof built, { close(): unknown }>]
  return output[0].code
}
