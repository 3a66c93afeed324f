/**
 * The one thing kept of a photo's Exif data: how to turn it (tag 0x0112 of the first directory, 1 to 8). Exif is a TIFF file
 * inside the picture, CIPA DC-008. Whatever is not as it should be means "as it is": a wrong date or place is none of ours.
 */
const ORIENTATION_TAG = 0x0112
const SHORT = 3

/** @param tiff from its "II" or "MM" on */
export function exifOrientation(tiff: Uint8Array): number {
  if (tiff.length < 8) return 1
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength)
  const order = view.getUint16(0)
  if (order !== 0x4949 && order !== 0x4d4d) return 1
  const little = order === 0x4949
  if (view.getUint16(2, little) !== 42) return 1
  const directory = view.getUint32(4, little)
  if (directory + 2 > tiff.length) return 1
  const entries = view.getUint16(directory, little)
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i
    if (entry + 12 > tiff.length) return 1
    if (view.getUint16(entry, little) !== ORIENTATION_TAG) continue
    const value = view.getUint16(entry + 8, little)
    return view.getUint16(entry + 2, little) === SHORT && value >= 1 && value <= 8 ? value : 1
  }
  return 1
}
