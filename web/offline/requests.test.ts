import { describe, expect, it } from 'vitest'
import { answerFor } from './requests.ts'

const ORIGIN = 'https://relay.example'
const FILES = new Set(['/wasm/tfjs-backend-wasm.wasm', '/manifest.webmanifest'])
const answer = (path: string, { mode = 'cors', method = 'GET', origin = ORIGIN } = {}) =>
  answerFor({ url: `${origin}${path}`, mode, method }, ORIGIN, FILES)

describe('what the service worker answers', () => {
  it.each(['/', '/join/poets', '/round/poets', '/join/poets?backend=wasm', '/host', '/host/poets'])(
    'the screen %s',
    (path) => {
      expect(answer(path, { mode: 'navigate' })).toBe('page')
    },
  )
  it.each(['/assets/index-1a2b.js', '/wasm/tfjs-backend-wasm.wasm', '/manifest.webmanifest'])(
    'the file %s',
    (path) => {
      expect(answer(path)).toBe('file')
    },
  )
  it.each(['/api/rooms', '/api/rooms/poets/manifest'])('what a room is: %s', (path) => {
    expect(answer(path)).toBe('room')
  })
  it.each([
    '/api/rooms/poets/status',
    '/api/rooms/poets/overview',
    '/api/rooms/poets/versions/1/adapter_model.safetensors',
    '/api/host/offer',
    '/models/00/model.safetensors',
    '/socket.io/?EIO=4&transport=polling',
    '/service-worker.js',
    '/healthz',
  ])('and nothing of %s', (path) => {
    expect(answer(path)).toBe('network')
  })
  it('touches nothing that writes, and nobody else', () => {
    expect(answer('/api/rooms', { method: 'POST' })).toBe('network')
    expect(answer('/assets/index.js', { origin: 'https://elsewhere.example' })).toBe('network')
    expect(answer('/metrics', { mode: 'navigate' })).toBe('network')
  })
})
