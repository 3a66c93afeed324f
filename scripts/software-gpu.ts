/**
 * Gives Node a WebGPU adapter on a machine without a GPU. Dawn (the `webgpu` package) reaches the processor
 * through a software Vulkan driver: Mesa's lavapipe, if it is new enough for Dawn (Mesa 24 or later), or the
 * SwiftShader that every Chromium brings along. Which driver the Vulkan loader takes is decided by environment
 * variables that it reads when the process loads it, so they are set before `webgpu` is imported, here in the
 * test runner's parent process. Whether a driver works is found out by asking it for an adapter.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { findChromium } from './chromium.ts'

export interface SoftwareGpu {
  readonly driver: 'lavapipe' | 'swiftshader'
  /** The adapter in its own words, e.g. "llvmpipe: Mesa 25.0.7". */
  readonly adapter: string
  /** Set these in the environment of the process that will load Dawn. */
  readonly environment: Readonly<Record<string, string>>
}

interface Candidate {
  readonly driver: SoftwareGpu['driver']
  readonly icd: string
  /** A folder with a Vulkan loader, for machines that have none of their own. */
  readonly loaderFolder?: string
}

const ICD_FOLDERS = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d']

const PROBE = `
import { create } from 'webgpu'
const adapter = await create([]).requestAdapter()
if (adapter === null) process.exit(1)
process.stdout.write(adapter.info.description || adapter.info.architecture)
process.exit(0)
`

function lavapipes(): Candidate[] {
  return ICD_FOLDERS.flatMap((folder) => {
    const names = fs.existsSync(folder) ? fs.readdirSync(folder) : []
    return names
      .filter((name) => /^lvp_icd.*\.json$/.test(name))
      .map((name) => ({ driver: 'lavapipe' as const, icd: path.join(folder, name) }))
  })
}

/** Debian's `chromium` on the PATH is a script; the program's own folder is elsewhere. */
const CHROMIUM_FOLDERS = ['/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome']

async function swiftshaders(): Promise<Candidate[]> {
  const folders = [...CHROMIUM_FOLDERS]
  try {
    folders.unshift(path.dirname(fs.realpathSync(await findChromium({ install: false }))))
  } catch {
    // No Chromium: its usual folders are looked at all the same.
  }
  const found = folders.filter((folder) => fs.existsSync(path.join(folder, 'vk_swiftshader_icd.json')))
  return [...new Set(found)].flatMap((folder) => {
    const icd = path.join(folder, 'vk_swiftshader_icd.json')
    return [
      { driver: 'swiftshader' as const, icd },
      { driver: 'swiftshader' as const, icd, loaderFolder: folder },
    ]
  })
}

function probe(candidate: Candidate): SoftwareGpu | undefined {
  const environment: Record<string, string> = {
    // The older name is the only one that loaders before 1.3.207 know; the newer one wins where both are known.
    VK_ICD_FILENAMES: candidate.icd,
    VK_DRIVER_FILES: candidate.icd,
  }
  if (candidate.loaderFolder !== undefined) {
    environment.LD_LIBRARY_PATH = [candidate.loaderFolder, process.env.LD_LIBRARY_PATH]
      .filter((folder) => folder !== undefined && folder !== '')
      .join(':')
  }
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', PROBE], {
    cwd: new URL('..', import.meta.url),
    env: { ...process.env, ...environment },
    encoding: 'utf8',
    timeout: 30_000,
  })
  if (result.status !== 0) return undefined
  return { driver: candidate.driver, adapter: result.stdout.trim(), environment }
}

/**
 * The first software adapter that answers. For `tests` SwiftShader comes first: lavapipe computes several times
 * faster but takes seconds to compile each kernel, and tests have many kernels and little to compute. For
 * `benches` it is the other way round.
 */
export async function findSoftwareGpu(use: 'tests' | 'benches' = 'tests'): Promise<SoftwareGpu | undefined> {
  if (process.platform !== 'linux') return undefined
  const [quickToCompile, quickToCompute] = [await swiftshaders(), lavapipes()]
  const candidates =
    use === 'tests' ? [...quickToCompile, ...quickToCompute] : [...quickToCompute, ...quickToCompile]
  for (const candidate of candidates) {
    const found = probe(candidate)
    if (found !== undefined) return found
  }
  return undefined
}
