/** Taking one's update back. */
export const withdraw = {
  title: 'Take your update back',
  lead: 'The relay deletes your update, erases every version it was merged into, and merges the others anew. Copies that somebody has downloaded before are out of reach.',
  ask: 'Take it back',
  confirm: 'Take your update out of this room? Your adapter stays on this device.',
  yes: 'Take it back',
  no: 'Leave it in',
  working: 'Asking the relay…',
}
