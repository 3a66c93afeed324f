/** What a picture file may claim before anything is made of it. */

/** 64 MB: a 50-megapixel photo of a phone has 12 to 25; a png of a screen less. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024

/** Cameras of phones make up to 50 million pixels, their users' other cameras up to 61; what is larger is a poster or a trap. */
export const MAX_PIXELS = 64_000_000

/**
 * Where the whole picture must stand in memory, 4 bytes a pixel (webp, interlaced png): 100 MB, which a tab on a phone just
 * has. The others are read row by row, or at an eighth of their size.
 */
export const MAX_PIXELS_IN_MEMORY = 25_000_000

/** Loaded by one person: at 3 KB each of 32 x 32 pixels, 60 MB. */
export const MAX_PICTURES = 20_000
