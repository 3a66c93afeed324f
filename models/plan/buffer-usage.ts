/** WebGPU's numbers for what a buffer is used for: they are fixed, and the globals are missing where nothing runs. */
export const BUFFER_USAGE = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, STORAGE: 0x80 } as const
