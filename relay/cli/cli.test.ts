/** The command line as a program sees it: one JSON object on stdout, the exit status, nothing of a stack. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { initialAdapter } from '../../models/adapters/initial.ts'
import { writePeftAdapter } from '../../models/formats/peft.ts'
import { referenceCase } from '../aggregation/testing/reference.ts'
import { writeAdapterFolder } from './files.ts'
import { distanceToFixture, writeFixtureFolders } from './testing/fixture-folders.ts'
import { host, run, runJson } from './testing/run-cli.ts'

const sample = (name: string) =>
  fileURLToPath(new URL(`../../models/catalog/samples/${name}.txt`, import.meta.url))
const tiny = fileURLToPath(new URL('../../models/catalog/tiny/', import.meta.url))

let folder: string
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'oneround-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('wrong usage is exit 2 and one sentence', () => {
  it.each([
    ['no command', [], /command is missing/],
    ['an unknown command', ['frobnicate'], /no command "frobnicate"; there are host, join/],
    ['an inherited name', ['constructor'], /no command/],
    ['an unknown option', ['merge', '--nope'], /--nope/],
    ['a missing value', ['train', '--data', sample('poe')], /--out is missing/],
    [
      'a number that is none',
      ['host', '--port', '0x10'],
      /--port takes a number from 0 to 65535, not "0x10"/,
    ],
    ['half a port', ['host', '--port', '80.5'], /--port takes a whole number/],
    ['a number out of range', ['host', '--tau', '1.5'], /--tau takes a number/],
    ['a room no folder can be named after', ['host', '--room', '../x'], /--room takes a-z/],
    [
      'a strategy that is not there',
      ['merge', '--strategy', 'best', '--out', 'x', 'y'],
      /florist, fedit, stack, .*, ffa, lora-sb, not "best"/,
    ],
    [
      'an option of another strategy',
      ['merge', '--strategy', 'fedit', '--density', '0.5', '--out', 'x', 'y'],
      /--density belongs to --strategy ties or dare/,
    ],
    [
      'a scale that is also searched',
      ['merge', '--evaluate', 'x', '--lambda', '2', '--out', 'x', 'y'],
      /give one of the two/,
    ],
    ['a rank for svd', ['merge', '--strategy', 'svd', '--out', 'x', 'y'], /svd needs --rank/],
    ['a clip that is none', ['merge', '--clip', 'mean', '--out', 'x', 'y'], /--clip takes .*"mean"/],
    [
      'a room that cannot freeze A',
      ['host', '--strategy', 'ffa'],
      /--strategy takes one of .*rfa, not "ffa"/,
    ],
    [
      'too few weights',
      ['merge', '--weights', '1', '--out', 'x', 'y', 'z'],
      /--weights takes 2 positive numbers/,
    ],
    ['a certificate without its key', ['host', '--cert', 'x'], /--cert and --key go together/],
    ['no data', ['eval'], /--data is missing/],
    ['no prompt', ['generate'], /--prompt is missing/],
    [
      'greedy sampling',
      ['generate', '--prompt', 'x', '--greedy', '--temperature', '1'],
      /--greedy samples nothing/,
    ],
    ['no URL', ['join', '--data', 'x'], /URL to join is missing/],
    ['another URL', ['join', 'http://x/other/place', '--data', 'x'], /looks like http/],
    ['two files', ['inspect', 'x', 'y'], /Name one file/],
    ['no format', ['export', '--out', 'x'], /--format is missing: peft, gguf, merged/],
    ['no adapter to export', ['export', '--format', 'gguf', '--out', 'x'], /--adapter is missing/],
    [
      'a type where there is no choice',
      ['export', '--format', 'peft', '--adapter', 'x', '--out', 'y', '--type', 'f16'],
      /--type belongs to --format merged/,
    ],
  ])('%s', async (_, argv, message) => {
    const { status, answer, stderr } = await runJson(...argv)
    expect(status).toBe(2)
    expect(answer).toEqual({ error: { code: 'usage', message: expect.stringMatching(message) } })
    expect(stderr).toContain('--help')
  })
})

describe('failures are exit 1 and one sentence', () => {
  it.each([
    ['a file that is not there', ['inspect', 'no/such.gguf'], 'file/missing'],
    ['a folder', ['inspect', tmpdir()], 'file/denied'],
    ['a file of another kind', ['inspect', sample('poe')], 'file/unknown-format'],
    ['an unknown model', ['eval', '--model', 'gpt-9', '--data', sample('poe')], 'model/unknown'],
    ['a text as the model', ['eval', '--model', sample('poe'), '--data', sample('poe')], 'model/unsupported'],
    [
      'a folder without a model',
      ['eval', '--model', path.dirname(sample('poe')), '--data', sample('poe')],
      'model/missing-file',
    ],
    ['an adapter that is not there', ['merge', '--out', 'x', 'no-such-adapter'], 'file/missing'],
    [
      'a relay that does not answer',
      ['join', 'http://127.0.0.1:1/join/main', '--data', sample('poe')],
      'network/unreachable',
    ],
  ])('%s', async (_, argv, code) => {
    const { status, answer } = await runJson(...argv)
    expect(status).toBe(1)
    expect(answer).toEqual({ error: { code, message: expect.stringMatching(/^[A-Z/].*\.$/s) } })
  })
})

it('help goes to stdout and names every option', async () => {
  const { status, stdout } = await run('host', '--help')
  expect(status).toBe(0)
  for (const name of ['--lan', '--https', '--public-url', '--publish-every', '--learning-rate', '--json']) {
    expect(stdout).toContain(name)
  }
  expect((await run('--help')).stdout).toContain('merge')
})

describe('inspect', () => {
  it('lists the tensors of the embedded model', async () => {
    const { status, answer } = await runJson('inspect', path.join(tiny, 'model.safetensors'))
    expect(status).toBe(0)
    expect(answer).toMatchObject({ format: 'safetensors', parameters: 1_967_808 })
    expect(answer.tensors).toContainEqual(
      expect.objectContaining({ name: 'model.embed_tokens.weight', dtype: 'F16', shape: [2048, 192] }),
    )
    expect((await run('inspect', path.join(tiny, 'model.safetensors'))).stdout).toContain(
      '1,967,808 parameters',
    )
  })
})

describe('merge', () => {
  const modules = [{ name: 'base_model.model.q_proj', inFeatures: 6, outFeatures: 4 }]
  const adapter = (seed: string, rank: number) => {
    const start = initialAdapter({ rank, alpha: 2 * rank, modules }, seed)
    return {
      modules: new Map(
        [...start.modules].map(([name, factors]) => [
          name,
          { ...factors, b: factors.b.map((_, i) => Math.cos(i + rank)) },
        ]),
      ),
    }
  }

  it('writes a PEFT folder of the weighted mean', async () => {
    const [one, two, out] = ['one', 'two', 'out'].map((name) => path.join(folder, name))
    await writeAdapterFolder(one, adapter('one', 1), 'base')
    await writeAdapterFolder(two, adapter('two', 2), 'base')
    const { status, answer } = await runJson(
      'merge',
      '--out',
      out,
      '--tau',
      '1',
      '--weights',
      '3,1',
      one,
      two,
    )
    expect({ status, answer }).toMatchObject({
      status: 0,
      answer: { dir: out, strategy: 'florist', adapters: 2, modules: 1, rank: { least: 3, most: 3 } },
    })
    const config = JSON.parse(readFileSync(path.join(out, 'adapter_config.json'), 'utf8'))
    expect(config).toMatchObject({ r: 3, lora_alpha: 3, base_model_name_or_path: 'base' })
    // One adapter alone, merged, is itself: the same weights again give the same bytes.
    const again = path.join(folder, 'again')
    await runJson('merge', '--out', again, '--tau', '1', '--weights', '30,10', one, two)
    expect(readFileSync(path.join(again, 'adapter_model.safetensors'))).toEqual(
      readFileSync(path.join(out, 'adapter_model.safetensors')),
    )
  })

  describe('by every strategy, on the reference written out as PEFT folders', () => {
    const reference = referenceCase('shared')
    /** client0 to client4, and frozen0 to frozen4 with client 0's A. */
    beforeAll(() => writeFixtureFolders(folder, 'shared'))

    const counted = ['--weights', reference.counts.join(',')]
    it.each<[string, string[], number]>([
      ['exact', ['florist', '--tau', '1', ...counted], 1e-5],
      ['florist', ['florist', '--tau', '0.9', ...counted], 1e-4],
      ['fedit', ['fedit', ...counted], 1e-5],
      ['exact', ['stack', ...counted], 1e-5],
      ['svd4', ['svd', '--rank', '4', ...counted], 1e-4],
      ['ffa', ['ffa', ...counted], 1e-5],
      ['task_uniform', ['task', '--lambda', '0.7'], 1e-5],
      ['task_weighted', ['task', '--lambda', '0.7', ...counted], 1e-5],
      ['ties_global', ['ties', '--density', '0.2'], 1e-5],
      ['ties_per_matrix', ['ties', '--density', '0.2', '--scope', 'module'], 1e-5],
      ['exact', ['dare', '--density', '1', '--seed', 's', ...counted], 1e-5],
      ['median', ['median'], 1e-5],
      ['trimmed_mean', ['trimmed-mean', '--trim', '0.2'], 1e-5],
      ['geometric_uniform', ['rfa'], 1e-4],
      ['geometric_weighted', ['rfa', ...counted], 1e-4],
      ['clip_weighted', ['stack', '--clip', 'median', ...counted], 1e-5],
    ])('%s: --strategy %s', async (rule, options, tolerance) => {
      const out = path.join(folder, `merged-${rule}-${options[0]}`)
      const kind = rule === 'ffa' ? 'frozen' : 'client'
      const folders = reference.adapters.map((_, k) => path.join(folder, `${kind}${k}`))
      const { status, answer } = await runJson('merge', '--strategy', ...options, '--out', out, ...folders)
      expect({ status, answer }).toMatchObject({
        status: 0,
        answer: { strategy: options[0], adapters: 5, modules: 3 },
      })
      expect(await distanceToFixture(out, 'shared', rule)).toBeLessThan(tolerance)
    })

    it('dare drops the same entries for the same seed, in any order of the folders', async () => {
      const weights = async (name: string, seed: string, folders: string[]) => {
        const out = path.join(folder, name)
        const at = folders.map((one) => path.join(folder, one))
        await runJson('merge', '--strategy', 'dare', '--density', '0.5', '--seed', seed, '--out', out, ...at)
        return readFileSync(path.join(out, 'adapter_model.safetensors'))
      }
      const one = await weights('dare1', 's', ['client0', 'client1', 'client2'])
      expect(await weights('dare2', 's', ['client2', 'client0', 'client1'])).toEqual(one)
      expect(await weights('dare3', 't', ['client0', 'client1', 'client2'])).not.toEqual(one)
    })
  })

  it('says which adapters do not go together', async () => {
    const [one, other] = ['same', 'other'].map((name) => path.join(folder, name))
    await writeAdapterFolder(one, adapter('one', 1), 'base')
    const odd = adapter('two', 1)
    const files = writePeftAdapter(
      {
        modules: new Map(
          [...odd.modules.values()].map((factors) => [
            `${factors.name}x`,
            { ...factors, name: `${factors.name}x` },
          ]),
        ),
      },
      'base',
    )
    await writeAdapterFolder(other, odd, 'base')
    for (const [name, bytes] of Object.entries(files))
      writeFileSync(path.join(other, name), bytes as Uint8Array)
    const { status, answer } = await runJson('merge', '--out', path.join(folder, 'never'), one, other)
    expect(status).toBe(1)
    expect(answer.error.code).toBe('merge/shape')
  })
})

describe('host', () => {
  it('opens a room, goes on with it after a restart, and refuses to change it', async () => {
    const dataDir = path.join(folder, 'relay')
    const first = await host('--data-dir', dataDir, '--steps', '7', '--title', 'Spring')
    expect(first.answer).toMatchObject({ room: 'main', model: 'tiny', dataDir })
    expect(first.answer.joinUrl).toBe(`${first.answer.url}/join/main`)
    const manifest = await (await fetch(`${first.answer.url}/api/rooms/main/manifest`)).json()
    expect(manifest).toMatchObject({
      title: 'Spring',
      recipe: { steps: 7 },
      strategy: { id: 'florist', tau: 0.999 },
      publishEvery: 3,
    })
    const config = manifest.base.files.find(({ name }: { name: string }) => name === 'config.json')
    const served = await fetch(`${first.answer.url}/models/${manifest.base.digest}/config.json`)
    expect((await served.arrayBuffer()).byteLength).toBe(config.bytes)
    const { status, stdout } = await first.stop()
    expect(status).toBe(0)
    expect(stdout.trim().split('\n')).toHaveLength(1)
    expect(first.stderr()).toContain('Nothing is lost')

    const second = await host('--data-dir', dataDir)
    expect(second.answer.manifestDigest).toBe(first.answer.manifestDigest)
    expect(second.stderr()).toContain('keeps the settings it was made with')
    await second.stop()

    const third = await host('--data-dir', dataDir, '--steps', '8')
    expect(third.answer.error.code).toBe('room/exists')
    expect((await third.stop()).status).toBe(1)
  })

  it('speaks HTTPS with a certificate of its own, which it keeps', async () => {
    const dataDir = path.join(folder, 'tls')
    const first = await host('--data-dir', dataDir, '--https')
    expect(first.answer.joinUrl).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/join\/main$/)
    const certificate = readFileSync(path.join(dataDir, 'tls', 'cert.pem'), 'utf8')
    await first.stop()
    const second = await host('--data-dir', dataDir, '--https')
    expect(readFileSync(path.join(dataDir, 'tls', 'cert.pem'), 'utf8')).toBe(certificate)
    expect(second.answer.manifestDigest).toBe(first.answer.manifestDigest)
    await second.stop()
  })

  it('puts a public address into the join URL', async () => {
    const dataDir = path.join(folder, 'public')
    const started = await host('--data-dir', dataDir, '--public-url', 'https://learn.example.org')
    expect(started.answer.joinUrl).toBe('https://learn.example.org/join/main')
    await started.stop()
  })
})

describe('a round without a browser', () => {
  it('train, eval and generate on this machine alone', async () => {
    const text = path.join(folder, 'notes.txt')
    writeFileSync(text, readFileSync(sample('carroll'), 'utf8').slice(0, 4000))
    const small = ['--steps', '3', '--batch', '2', '--length', '32']
    const out = path.join(folder, 'own')
    const trained = await runJson(
      'train',
      '--data',
      text,
      '--out',
      out,
      '--backend',
      'wasm',
      '--seed',
      's',
      ...small,
    )
    expect(trained).toMatchObject({ status: 0, answer: { steps: 3, backend: 'wasm', dir: out } })
    const { base, own } = trained.answer.loss
    expect(own).toBeLessThan(base)

    const measured = await runJson(
      'eval',
      '--data',
      text,
      '--adapter',
      out,
      '--held-out',
      '--length',
      '32',
      '--batch',
      '2',
      '--backend',
      'wasm',
    )
    // Through the PEFT files and back: the same numbers.
    expect(measured.answer.loss).toBeCloseTo(own, 5)
    expect(measured.answer.perplexity).toBeCloseTo(Math.exp(measured.answer.loss), 6)

    // Three steps fall short of what the text has to teach: a larger scale predicts it better.
    const heldOut = path.join(folder, 'other-notes.txt')
    writeFileSync(heldOut, readFileSync(sample('carroll'), 'utf8').slice(4000, 4600))
    const options = ['--length', '32', '--backend', 'wasm']
    const scaled = path.join(folder, 'scaled')
    const search = await runJson(
      'merge',
      '--evaluate',
      heldOut,
      '--tau',
      '1',
      '--out',
      scaled,
      ...options,
      out,
    )
    expect(search.status).toBe(0)
    expect(search.answer.lambda).toBeGreaterThan(1)
    const one = search.answer.measured.find(({ scale }: { scale: number }) => scale === 1)
    expect(search.answer.loss).toBeLessThan(one.loss)
    const evaluated = await runJson('eval', '--data', heldOut, '--adapter', scaled, ...options)
    expect(evaluated.answer.loss).toBeCloseTo(search.answer.loss, 5)

    const generated = await runJson(
      'generate',
      '--prompt',
      'Alice',
      '--adapter',
      out,
      '--greedy',
      '--max-tokens',
      '3',
      '--backend',
      'wasm',
    )
    expect(generated.answer.tokens).toHaveLength(3)
    expect(typeof generated.answer.text).toBe('string')
    expect(
      (await runJson('generate', '--prompt', 'Alice', '--chat', '--backend', 'wasm')).answer.error.code,
    ).toBe('tokenizer/no-chat-template')
  }, 60_000)

  it('two join a room, and the second waits for what the relay merged', async () => {
    const text = path.join(folder, 'letters.txt')
    writeFileSync(text, readFileSync(sample('poe'), 'utf8').slice(0, 3000))
    const dataDir = path.join(folder, 'round')
    const room = ['--steps', '2', '--batch', '2', '--length', '32', '--publish-every', '2']
    const relay = await host('--data-dir', dataDir, ...room)
    try {
      const join = ['--data', text, '--backend', 'wasm']
      const first = await runJson('join', relay.answer.joinUrl, ...join)
      expect(first).toMatchObject({
        status: 0,
        answer: { steps: 2, receipt: { contribution: 1 }, merged: null },
      })
      expect(first.answer.bytesSent).toBeGreaterThan(first.answer.updateBytes)
      expect(first.answer.bytesSent).toBeLessThan(first.answer.updateBytes + 16 * 1024)

      const out = path.join(folder, 'merged')
      // The relay has one room: its own address is enough.
      const second = await runJson(
        'join',
        relay.answer.url,
        ...join,
        '--hide-examples',
        '--wait',
        '--out',
        out,
      )
      const { receipt, merged, loss } = second.answer
      expect(receipt).toMatchObject({ contribution: 2, examples: 1 })
      expect(merged).toMatchObject({ version: 1, contributions: 2, dir: out })
      // Two steps on a random start teach nothing for certain; that it is another model is.
      expect(Math.abs(loss.merged - loss.base)).toBeGreaterThan(1e-6)
      expect(Math.abs(loss.merged - loss.base)).toBeLessThan(0.2)
      const eval_ = ['eval', '--data', text, '--adapter', out, '--held-out', '--length', '32', '--batch', '2']
      expect((await runJson(...eval_, '--backend', 'wasm')).answer.loss).toBeCloseTo(loss.merged, 5)

      const unknown = await runJson('join', `${relay.answer.url}/join/other`, ...join)
      expect(unknown).toMatchObject({ status: 1, answer: { error: { code: 'room/unknown' } } })
    } finally {
      await relay.stop()
    }
  }, 60_000)
})
