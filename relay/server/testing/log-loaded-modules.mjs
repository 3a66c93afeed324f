/**
 * With `NODE_OPTIONS=--import …/log-loaded-modules.mjs` a process and its threads append the URL of every module they
 * load to the file that LOADED_MODULES names, one a line.
 */
import { register } from 'node:module'

register(
  `data:text/javascript,${encodeURIComponent(`
    import { appendFileSync } from 'node:fs'
    export async function load(url, context, next) {
      appendFileSync(process.env.LOADED_MODULES, url + '\\n')
      return next(url, context)
    }
  `)}`,
)
