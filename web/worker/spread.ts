/**
 * A long text, or a large set of pictures, is measured on part of it: the search for a scale measures it a dozen times or more while a class waits.
 */

/** Some 8,000 tokens where a window has 128; a picture passes at four times. */
export const MAX_MEASURED = { text: 64, pictures: 32 } as const

/** At most so many of them, evenly from the first to the last, in their order. */
export function spread<T>(items: readonly T[], most: number): readonly T[] {
  if (items.length <= most) return items
  return Array.from({ length: most }, (_, i) => items[Math.floor((i * items.length) / most)])
}
