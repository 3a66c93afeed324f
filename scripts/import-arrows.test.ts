import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  arrowViolations,
  familyFolders,
  readSources,
  relayLoadsModels,
  type SourceFile,
} from './import-arrows.ts'

const sources = readSources(path.resolve(import.meta.dirname, '..'))
const planted = (file: string, text: string): SourceFile[] => [{ path: file, text }]

describe('import arrows', () => {
  it('reads the project itself', () => {
    for (const folder of ['models', 'relay/protocol', 'relay/server', 'relay/cli', 'web']) {
      expect(
        sources.some((file) => file.path.startsWith(`${folder}/`)),
        folder,
      ).toBe(true)
    }
  })

  it('hold in every source file', () => {
    expect(arrowViolations(sources)).toEqual([])
  })

  it('let no relay load what runs models', () => {
    expect(relayLoadsModels(sources)).toEqual([])
  })

  it.each([
    ['a static import', 'models/a.ts', `import { x } from '../relay/protocol/limits.ts'`],
    ['a type import', 'models/training/a.ts', `import type { X } from '../../web/app.tsx'`],
    ['a re-export', 'relay/protocol/a.ts', `export { x } from '../../models/errors.ts'`],
    ['a dynamic import', 'relay/client/a.ts', `const m = await import('../server/server.ts')`],
    ['a worker', 'web/a.tsx', `new Worker(new URL('../relay/server/job-worker.ts', import.meta.url))`],
    ['a glob', 'web/a.ts', `import.meta.glob<string>('../relay/store/*.ts')`],
    [
      'the server knowing the engine',
      'relay/server/a.ts',
      `import { x } from '../../models/backend/node.ts'`,
    ],
    ['a package', 'relay/aggregation/a.ts', `import * as tf from '@tensorflow/tfjs-core'`],
    ['sockets in models', 'models/a.ts', `import { io } from 'socket.io-client'`],
    ['Node in a tab', 'web/a.ts', `import fs from 'node:fs'`],
  ])('catch %s', (_, file, text) => {
    expect(arrowViolations(planted(file, text))).toHaveLength(1)
  })

  describe('of a family of models', () => {
    const list = planted('models/families/index.ts', `import { fernFamily } from '../fern/family.ts'`)
    const withList = (file: string, text: string) => arrowViolations([...list, ...planted(file, text)])

    it('are read from the list of families', () => {
      expect(familyFolders(sources)).toEqual(['models/diffusion', 'models/llama'])
      expect(familyFolders(list)).toEqual(['models/fern'])
    })

    it.each([
      ['another family', 'models/moss/model.ts', `import { x } from '../fern/weights.ts'`],
      ['training', 'models/training/a.ts', `import type { X } from '../fern/model.ts'`],
      ['the page', 'web/worker/a.ts', `import { x } from '../../models/fern/tokenizer.ts'`],
      ['the command line', 'relay/cli/a.ts', `import { x } from '../../models/fern/model.ts'`],
    ])('let %s know none', (_, file, text) => {
      expect(withList(file, text)).toEqual([
        expect.stringMatching(/only models\/families\/index\.ts knows the family models\/fern$/),
      ])
    })

    it('let a family know itself, and a bench any', () => {
      expect(withList('models/fern/model.ts', `import { x } from './weights.ts'`)).toEqual([])
      expect(withList('bench/a.ts', `import { x } from '../models/fern/model.ts'`)).toEqual([])
    })
  })

  it.each([
    ['its own folder', 'models/training/a.ts', `import { x } from '../errors.ts'`],
    ['what the table allows', 'web/a.ts', `import { x } from '../models/errors.ts'`],
    [
      'words in a comment',
      'models/a.ts',
      `// import x from '../web/app.tsx'\nexport const y = "from '../web/a.ts'"`,
    ],
    ['a test', 'models/a.test.ts', `import { x } from '../relay/cli/main.ts'`],
  ])('allow %s', (_, file, text) => {
    expect(arrowViolations(planted(file, text))).toEqual([])
  })

  it('follow what is loaded at run time, through files that may be imported', () => {
    const files = [
      ...planted('relay/server/a.ts', `import { b } from '../../models/adapters/b.ts'`),
      ...planted('models/adapters/b.ts', `import type { C } from './c.ts'\nimport { d } from './d.ts'`),
      ...planted('models/adapters/c.ts', `import * as tf from '@tensorflow/tfjs-core'`),
    ]
    expect(relayLoadsModels([...files, ...planted('models/adapters/d.ts', 'export const d = 1')])).toEqual([])
    const loading = planted('models/adapters/d.ts', `import '@tensorflow/tfjs-backend-cpu'`)
    expect(relayLoadsModels([...files, ...loading])).toEqual([
      'relay/server/a.ts -> models/adapters/b.ts -> models/adapters/d.ts -> @tensorflow/tfjs-backend-cpu',
    ])
  })
})
