/** Where the way ends: the device is gone, or the person left. */
export const lost = {
  title: 'The device stopped',
  workerStopped:
    'The tab ran out of memory or its worker was stopped; your data and the last checkpoint are kept.',
  lead: 'Your data are still here, and so is the last checkpoint.',
  leadEarly: 'Nothing that you chose is lost.',
  resume: 'Resume from the last checkpoint',
  again: 'Open the device again',
}

export const left = {
  title: 'You left without sending',
  lead: 'Nothing was sent. Your data and the adapter were deleted from this browser’s storage.',
  erasedTitle: 'Erased from this computer',
  erasedLead: 'Nothing of this round or of the base model is left in this browser. You may close the tab.',
  again: 'Start again',
}
