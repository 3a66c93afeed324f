/** Before a room is open. */
export const opening = {
  title: 'One moment',
  lookingFor: (room: string | null) => (room ? `Looking for the room “${room}”…` : 'Looking for rooms…'),
}

export const rooms = {
  title: 'Choose a room',
  lead: 'This relay has several rooms. Each trains its own adapter. Choose the one you were invited to.',
  none: 'This relay has no room yet. Ask the host to open one, then reload this page.',
  noneTitle: 'No room yet',
}
