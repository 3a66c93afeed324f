/**
 * "Erase everything from this computer": what this browser keeps of any round, by this page or another tab's, and
 * the page's own files. What a person downloaded or sent is out of reach, and the page says so.
 */
import { clear, createStore } from 'idb-keyval'
import { PAGE_CACHE } from '../offline/requests.ts'
import { move } from './machine.ts'
import { closeDevice } from './preparing.ts'
import { toProblem } from './problems.ts'
import { leaveRelay } from './relay.ts'
import { forgetAllSessions } from './storage.ts'
import { forgotten, problem, resetRound } from './store.ts'
import { forgetWire } from './wire.ts'

/** Databases of the worker: measured backends, and on plain HTTP the base model's files. */
const OTHER_STORES = [
  ['oneround-backend', 'choices'],
  ['oneround-models', 'files'],
] as const

export async function eraseEverything(): Promise<void> {
  // Late writes must not bring anything back.
  forgotten.value = true
  leaveRelay()
  closeDevice()
  try {
    await forgetAllSessions()
    for (const [database, store] of OTHER_STORES) await clear(createStore(database, store))
    const registrations = (await navigator.serviceWorker?.getRegistrations()) ?? []
    for (const registration of registrations) await registration.unregister()
    if (typeof caches !== 'undefined') await deleteCaches()
    sessionStorage.clear()
    localStorage.clear()
  } catch (error) {
    problem.value = toProblem(error)
    return
  }
  if (!move('result', { at: 'left', erased: true })) return
  resetRound()
  forgetWire()
  forgotten.value = true
}

/** The page's cache first: without it the service worker keeps nothing more. */
async function deleteCaches(): Promise<void> {
  const names = (await caches.keys()).filter((name) => name.startsWith('oneround-'))
  const isPage = (name: string) => name.startsWith(PAGE_CACHE)
  for (const name of [...names.filter(isPage), ...names.filter((name) => !isPage(name))])
    await caches.delete(name)
}
