/** Hands a file to the browser's downloads under a name. Nothing leaves the device by this. */
export function saveFile(name: string, content: Uint8Array | string | Blob): void {
  const blob =
    content instanceof Blob ? content : new Blob([content as BlobPart], { type: 'application/octet-stream' })
  const address = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = address
  link.download = name
  link.click()
  // The browser reads the blob after the click has returned.
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}
