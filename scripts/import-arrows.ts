/**
 * The lint that holds the architecture: which folder may import from which. It parses every source file, resolves
 * what it imports (static, dynamic, `new URL(…, import.meta.url)` and `import.meta.glob`), and names whatever goes
 * against the table below. Type imports count too: an arrow is about who knows whom. A second check follows what
 * is loaded at run time, because a relay must come up without a byte of the machine-learning library.
 */
import fs from 'node:fs'
import path from 'node:path'
import { parseSync } from 'vite'

export interface SourceFile {
  /** From the project's root, with forward slashes. */
  readonly path: string
  readonly text: string
}

interface Import {
  /** A path from the project's root, or a package's name. */
  readonly target: string
  readonly isPackage: boolean
  readonly typeOnly: boolean
}

interface Rule {
  readonly folder: string
  /** Files and folders of this project that it may import, besides itself. */
  readonly may: readonly string[]
  /** Packages that it must not import, and why not. */
  readonly never?: { readonly packages: RegExp; readonly because: string }
}

const TFJS = { packages: /^(@tensorflow\/|webgpu$)/, because: 'a relay loads nothing that runs models' }
const UPDATE_FORMATS = [
  'relay/protocol',
  'models/formats',
  'models/adapters',
  'models/errors.ts',
  // Digests, which both sides of the wire must compute alike.
  'models/sha256.ts',
  'models/canonical-json.ts',
]

/** The first rule whose folder holds the file applies. */
const RULES: readonly Rule[] = [
  {
    folder: 'models',
    may: [],
    never: {
      packages: /^(preact|@preact\/|uplot|comlink|socket\.io|socket\.io-client|libsql|pino)($|\/)/,
      because: 'models knows no page, no sockets and no store',
    },
  },
  {
    folder: 'relay/protocol',
    may: [],
    never: {
      packages: /^(@tensorflow\/|webgpu$|preact|socket\.io|libsql|node:)/,
      because: 'the protocol is schemas and limits, read by tab and relay alike',
    },
  },
  {
    folder: 'relay/client',
    may: ['relay/protocol'],
    never: { packages: /^node:|^@tensorflow\//, because: 'it runs in tabs too' },
  },
  { folder: 'relay/aggregation', may: UPDATE_FORMATS, never: TFJS },
  { folder: 'relay/store', may: UPDATE_FORMATS, never: TFJS },
  { folder: 'relay/server', may: [...UPDATE_FORMATS, 'relay/aggregation', 'relay/store'], never: TFJS },
  { folder: 'relay', may: ['relay', 'models'] },
  {
    folder: 'web',
    may: ['relay/client', 'relay/protocol', 'models', 'lab/leak'],
    never: { packages: /^(node:|webgpu$|libsql|socket\.io$)/, because: 'it runs in a browser' },
  },
  { folder: 'e2e', may: ['web', 'relay', 'models', 'scripts', 'bin'] },
  { folder: 'bench', may: ['web', 'relay', 'models', 'scripts', 'bin'] },
  { folder: 'lab', may: ['relay', 'models', 'scripts', 'bench'] },
  { folder: 'scripts', may: ['relay', 'models', 'e2e', 'bench', 'bin'] },
]

/** The one file that names families of models; each folder it takes a `family.ts` from is one. */
const FAMILY_LIST = 'models/families/index.ts'

/** What works for every family and so may know none; benches and experiments are about particular models. */
const KNOWS_NO_FAMILY = ['models', 'relay', 'web']

/** Where a relay's code starts; nothing reachable from here at run time may run models. */
const RELAY_ENTRIES = ['relay/server', 'relay/aggregation', 'relay/store']

const SOURCE = /\.(ts|tsx|mts|mjs)$/
const TEST = /(\.test\.|\.bench\.|(^|\/)(testing|fixtures)\/)/

const isInside = (file: string, folder: string) => file === folder || file.startsWith(`${folder}/`)

function packageName(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function importsOf(file: SourceFile): Import[] {
  const parsed = parseSync(file.path, file.text)
  if (parsed.errors.length > 0) throw new Error(`${file.path} does not parse: ${parsed.errors[0].message}`)
  const found: Import[] = []
  const add = (specifier: string, typeOnly: boolean) => {
    const bare = specifier.split('?')[0]
    const isPackage = !bare.startsWith('.') && !bare.startsWith('/')
    const target = isPackage
      ? packageName(bare)
      : path.posix.normalize(path.posix.join(path.posix.dirname(file.path), bare))
    found.push({ target, isPackage, typeOnly })
  }
  const { staticImports, staticExports, dynamicImports, importMetas } = parsed.module
  for (const { start, moduleRequest } of staticImports) {
    add(moduleRequest.value, /^import\s+type\b/.test(file.text.slice(start)))
  }
  for (const { start, entries } of staticExports) {
    const from = entries[0]?.moduleRequest?.value
    if (from !== undefined) add(from, /^export\s+type\b/.test(file.text.slice(start)))
  }
  for (const { moduleRequest } of dynamicImports) {
    const literal = /^(['"`])([^'"`$]+)\1$/.exec(file.text.slice(moduleRequest.start, moduleRequest.end))
    if (literal !== null) add(literal[2], false)
  }
  for (const { start, end } of importMetas) {
    const url = /new URL\(\s*(['"`])([^'"`$]+)\1\s*,\s*$/.exec(
      file.text.slice(Math.max(0, start - 300), start),
    )
    // Only code: a model's file or a folder is read, not imported.
    if (url !== null && SOURCE.test(url[2])) add(url[2].startsWith('.') ? url[2] : `./${url[2]}`, false)
    const glob = /^\.glob(?:<[^(]*>)?\(\s*(['"`])([^'"`$*]+)/.exec(file.text.slice(end))
    if (glob !== null) add(glob[2], false)
  }
  return found
}

/** Folders of families: `models/llama` and its like. */
export function familyFolders(files: readonly SourceFile[]): string[] {
  const list = files.find((file) => file.path === FAMILY_LIST)
  if (list === undefined) return []
  return importsOf(list)
    .map(({ target }) => target)
    .filter((target) => path.posix.basename(target) === 'family.ts' && !isInside(target, 'models/families'))
    .map((target) => path.posix.dirname(target))
}

/** Every import that goes against the table, one sentence each. Tests are free to reach further. */
export function arrowViolations(files: readonly SourceFile[]): string[] {
  const violations: string[] = []
  const families = familyFolders(files)
  for (const file of files) {
    if (TEST.test(file.path)) continue
    const rule = RULES.find(({ folder }) => isInside(file.path, folder))
    if (rule === undefined) continue
    for (const { target, isPackage } of importsOf(file)) {
      if (isPackage) {
        if (rule.never?.packages.test(target)) {
          violations.push(`${file.path} imports the package ${target}: ${rule.never.because}`)
        }
      } else if (![rule.folder, ...rule.may].some((folder) => isInside(target, folder))) {
        violations.push(`${file.path} imports ${target}: ${rule.folder} may not know that folder`)
      } else {
        const family = families.find((folder) => isInside(target, folder) && !isInside(file.path, folder))
        const bound = KNOWS_NO_FAMILY.some((folder) => isInside(file.path, folder))
        if (family !== undefined && bound && file.path !== FAMILY_LIST) {
          violations.push(`${file.path} imports ${target}: only ${FAMILY_LIST} knows the family ${family}`)
        }
      }
    }
  }
  return violations
}

/** Chains of imports by which a relay would load a package that runs models. */
export function relayLoadsModels(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const cameFrom = new Map<string, string | null>()
  const queue: string[] = []
  for (const { path: file } of files) {
    if (!TEST.test(file) && RELAY_ENTRIES.some((folder) => isInside(file, folder))) {
      cameFrom.set(file, null)
      queue.push(file)
    }
  }
  const chains: string[] = []
  const chain = (file: string | null): string[] =>
    file === null ? [] : [...chain(cameFrom.get(file) ?? null), file]
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const file = byPath.get(next)
    if (file === undefined) continue
    for (const { target, isPackage, typeOnly } of importsOf(file)) {
      if (typeOnly) continue
      if (isPackage) {
        if (TFJS.packages.test(target)) chains.push([...chain(next), target].join(' -> '))
      } else if (byPath.has(target) && !cameFrom.has(target)) {
        cameFrom.set(target, next)
        queue.push(target)
      }
    }
  }
  return chains
}

/** The project's own sources. */
export function readSources(root: string): SourceFile[] {
  const files: SourceFile[] = []
  const walk = (folder: string) => {
    for (const entry of fs.readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const child = `${folder}/${entry.name}`
      if (entry.isDirectory()) {
        if (entry.name !== 'node_modules' && entry.name !== 'fixtures') walk(child)
      } else if (SOURCE.test(entry.name)) {
        files.push({ path: child, text: fs.readFileSync(path.join(root, child), 'utf8') })
      }
    }
  }
  for (const folder of new Set(RULES.map(({ folder }) => folder.split('/')[0]))) {
    if (fs.existsSync(path.join(root, folder))) walk(folder)
  }
  return files
}
