/** A small room for tests: two little layers, updates of a few kilobytes, a relay in a folder of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { type AdapterForm, type AdapterShape, factorSpecs } from '../../../models/adapters/adapter.ts'
import { RandomStream } from '../../../models/adapters/random.ts'
import { encodeUpdate, updateBytes } from '../../../models/adapters/update-codec.ts'
import { type Digest, digestOfText } from '../../protocol/canonical.ts'
import { createManifest, type NewManifest } from '../../protocol/create-manifest.ts'
import {
  type Manifest,
  manifestDigest,
  type Privacy,
  quorumOf,
  type SteppedMode,
} from '../../protocol/manifest.ts'
import { type Relay, type RelayOptions, startRelay } from '../server.ts'

export const TEST_SHAPE: AdapterShape = {
  rank: 2,
  alpha: 4,
  modules: [
    { name: 'base_model.model.model.layers.0.self_attn.q_proj', inFeatures: 24, outFeatures: 24 },
    { name: 'base_model.model.model.layers.0.mlp.down_proj', inFeatures: 40, outFeatures: 24 },
  ],
}

/** A room of rounds of these layers, merged by averaging factors. */
export const roundsManifest = (mode: SteppedMode, changes: Partial<NewManifest> = {}): Manifest =>
  testManifest({
    updateBytes: updateBytes(TEST_SHAPE, 'i8', true),
    strategy: { id: 'fedit' },
    publishEvery: quorumOf(mode),
    mode,
    ...changes,
  })

/** A private room of these layers, training B alone. */
export const privateManifest = (privacy: Privacy = { epsilon: 8, delta: 1e-5, clip: 1 }): Manifest =>
  testManifest(
    {
      adapter: { ...TEST_SHAPE, seed: 'seed', form: 'ffa', modules: [...TEST_SHAPE.modules] },
      updateBytes: updateBytes({ ...TEST_SHAPE, form: 'ffa' }, 'i8'),
      strategy: { id: 'ffa' },
      privacy,
    },
    { examples: 1 },
  )

export const TEST_BASE_DIGEST: Digest = digestOfText('a base model')

export function testManifest(
  changes: Partial<NewManifest> = {},
  limits: Partial<Manifest['limits']> = {},
): Manifest {
  const encoding = changes.encoding ?? 'i8'
  const manifest = createManifest({
    room: 'class-7b',
    title: 'Class 7b',
    base: {
      id: 'test',
      family: 'llama',
      license: 'Apache-2.0',
      digest: TEST_BASE_DIGEST,
      files: [{ name: 'model.safetensors', bytes: 12, sha256: digestOfText('hello, model') }],
    },
    adapter: { ...TEST_SHAPE, seed: 'seed', modules: [...TEST_SHAPE.modules] },
    recipe: {
      steps: 10,
      batch: 2,
      tokens: 16,
      learningRate: 0.003,
      warmupSteps: 1,
      weightDecay: 0.01,
      maxNorm: 1,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-8,
      evaluateEvery: 5,
    },
    updateBytes: updateBytes(TEST_SHAPE, encoding),
    ...changes,
  })
  // Small chunks, so that these small updates take several.
  return { ...manifest, limits: { ...manifest.limits, chunkBytes: 256, ...limits } }
}

/** Values in (-scale, scale) that depend on the seed alone, by tensor name. */
export function testChange(
  seed: string,
  scale = 0.05,
  form: AdapterForm = 'lora',
): Map<string, Float32Array> {
  const change = new Map<string, Float32Array>()
  for (const module of TEST_SHAPE.modules) {
    for (const { name, trained, shape } of factorSpecs(module, TEST_SHAPE.rank, form)) {
      if (!trained) continue
      const random = new RandomStream(seed, name)
      const entries = shape[0] * shape[1]
      change.set(
        name,
        Float32Array.from({ length: entries }, () => (2 * random.nextFloat() - 1) * scale),
      )
    }
  }
  return change
}

/** `start`: digest of the version it was trained from. */
export function testUpdate(
  manifest: Manifest,
  seed: string,
  examples: number | null = 5,
  start: string | null = null,
): Uint8Array {
  const { form } = manifest.adapter
  return encodeUpdate({
    change: testChange(seed, 0.05, form),
    shape: { ...TEST_SHAPE, form },
    manifestDigest: manifestDigest(manifest),
    examples,
    encoding: manifest.update.encoding,
    start,
    seed,
  })
}

export const silent = pino({ level: 'silent' })

export interface TestFolder extends AsyncDisposable {
  readonly path: string
}

export async function temporaryFolder(): Promise<TestFolder> {
  const path = await mkdtemp(join(tmpdir(), 'oneround-test-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** In tests everybody has one address. */
export const NO_ADDRESS_LIMITS = { sockets: 10_000, joinsPerMinute: 1e6, wrongSecretsPerMinute: 1e6 }

/** On a free port of loopback. */
export function startTestRelay(dataDir: string, changes: Partial<RelayOptions> = {}): Promise<Relay> {
  return startRelay({
    dataDir,
    modelFiles: [{ digest: TEST_BASE_DIGEST, files: new Map() }],
    rooms: [testManifest()],
    log: silent,
    limits: NO_ADDRESS_LIMITS,
    ...changes,
  })
}
