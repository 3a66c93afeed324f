/**
 * Builds the page into dist/page, which the relay serves, and runs the dev server, which passes everything that
 * is not the page on to a relay (ONEROUND_RELAY, by default where `npm start` listens).
 *
 * The page's policy allows no inline script or style, nothing from elsewhere, and tfjs must find its three .wasm
 * files in one folder under their own names; both are settled here.
 */
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin } from 'vite'
import { SECURITY_HEADERS } from './relay/server/headers.ts'
import { offlinePage } from './scripts/offline-page.ts'
import { workerRunsOnce } from './scripts/worker-runs-once.ts'

const root = path.dirname(fileURLToPath(import.meta.url))
const wasmFolder = path.join(root, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')
/** Without SIMD, with it, and with threads too: tfjs asks the browser what it can and fetches one. */
const WASM_FILES = [
  'tfjs-backend-wasm.wasm',
  'tfjs-backend-wasm-simd.wasm',
  'tfjs-backend-wasm-threaded-simd.wasm',
]

/** Serves tfjs's .wasm files under /wasm/. */
function tfjsWasm(): Plugin {
  return {
    name: 'oneround:tfjs-wasm',
    generateBundle() {
      for (const name of WASM_FILES) {
        const source = fs.readFileSync(path.join(wasmFolder, name))
        this.emitFile({ type: 'asset', fileName: `wasm/${name}`, source })
      }
    },
    configureServer(server) {
      server.middlewares.use('/wasm', (request, response, next) => {
        const name = WASM_FILES.find((file) => request.url?.split('?')[0] === `/${file}`)
        if (name === undefined) return next()
        response.setHeader('Content-Type', 'application/wasm')
        fs.createReadStream(path.join(wasmFolder, name)).pipe(response)
      })
    },
  }
}

/**
 * tfjs starts its wasm threads from the source text of this very function (`toString()` into a blob), in which a
 * variable of the scope around it is asked for. Under its own name that variable is simply absent there; renamed
 * by the minifier it ends every thread with a ReferenceError. So the function gets a variable of its own.
 */
function tfjsWasmThreads(): Plugin {
  const factory = 'function(WasmBackendModuleThreadedSimd) {'
  return {
    name: 'oneround:tfjs-wasm-threads',
    enforce: 'pre',
    transform(code, id) {
      if (!/tfjs-backend-wasm-threaded-simd\.js($|\?)/.test(id)) return null
      if (!code.includes(factory)) throw new Error(`${id} is not as expected; see vite.config.ts`)
      return { code: code.replace(factory, `${factory} var _scriptDir;`), map: null }
    },
  }
}

/**
 * uPlot makes a number format of the browser's language when it is loaded, and never loads where that is no language tag: it
 * is "C" in WebKitGTK without a locale. The page's numbers are English anyway, and uPlot's own are not shown.
 */
function uplotLanguage(): Plugin {
  const language = "domEnv ? nav.language : 'en-US'"
  return {
    name: 'oneround:uplot-language',
    enforce: 'pre',
    transform(code, id) {
      if (!/uPlot\.esm\.js($|\?)/.test(id)) return null
      if (!code.includes(language)) throw new Error(`${id} is not as expected; see vite.config.ts`)
      return { code: code.replace(language, "'en-US'"), map: null }
    },
  }
}

/** What only Node can run must not get into the page; an import of it is a mistake, named here. */
const NODE_ONLY = ['webgpu', 'libsql', 'socket.io', 'pino', 'selfsigned', 'playwright']

function refuseNodeOnly(): Plugin {
  return {
    name: 'oneround:refuse-node-only',
    enforce: 'pre',
    resolveId(source, importer) {
      if (NODE_ONLY.includes(source) || source.startsWith('node:')) {
        throw new Error(`${source} runs in Node only, but ${importer ?? 'the page'} imports it into the page`)
      }
      return null
    },
  }
}

/** Vite's dev server puts styles into the page by script; they carry this nonce, and the policy lets them. */
const DEV_NONCE = 'oneround-dev'

function devHeaders(): Record<string, string> {
  const policy = SECURITY_HEADERS['Content-Security-Policy']
  return {
    ...SECURITY_HEADERS,
    'Content-Security-Policy': policy.replace("style-src 'self'", `style-src 'self' 'nonce-${DEV_NONCE}'`),
  }
}

const relay = process.env.ONEROUND_RELAY ?? 'http://127.0.0.1:8787'

export default defineConfig(({ command }) => ({
  root,
  plugins: [refuseNodeOnly(), tfjsWasm(), tfjsWasmThreads(), uplotLanguage(), offlinePage(root)],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  ...(command === 'serve' && { html: { cspNonce: DEV_NONCE } }),
  // What the worker and the lazily loaded parts import is known from the start: no reload in mid-use.
  optimizeDeps: { entries: ['index.html', 'web/worker/worker.ts', 'web/components/*.tsx'] },
  build: {
    outDir: 'dist/page',
    // Everything is a file of its own: a data: URL would be no part of what the browser caches by name.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The worker with tfjs's backends in it; it is fetched once and cached by its hash.
    chunkSizeWarningLimit: 3000,
    // Bundling the worker is a plugin's callback, so most of every build's time is; no news.
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  worker: {
    format: 'es',
    plugins: () => [refuseNodeOnly(), tfjsWasmThreads(), workerRunsOnce()],
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: {
    headers: devHeaders(),
    proxy: {
      '/api': { target: relay, changeOrigin: false },
      '/models/': {
        target: relay,
        // The dev server has source files under models/ too; the relay's are /models/<64 hex digits>/<file>.
        bypass: (request) => (/^\/models\/[0-9a-f]{64}\//.test(request.url ?? '') ? undefined : request.url),
      },
      '/socket.io': { target: relay, ws: true },
    },
  },
}))
