/** Words about a picture, as one line. */

/** A caption is a line or two; a book beside a picture is a mistake. */
export const MAX_CAPTION_CHARACTERS = 1000

/** Line breaks, tabs, control and direction characters become a space; runs of spaces one. */
export const cleanCaption = (text: string): string =>
  text
    .normalize('NFC')
    .replace(/[\s\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/gu, ' ')
    .trim()
