/** Why the browser's back button leads nowhere at this moment. */
export const back = {
  training: 'Training goes on and nothing is lost; to change your data, stop training first.',
  sending: 'Your update is on its way; wait for the receipt.',
  sent: 'Your update is sent, so there is nothing to go back to; you can take it out of the room again below.',
  elsewhere: 'There is no way back from here; go on with the buttons of this page.',
}
