/** The bootstrap is plain JavaScript, because it runs before anything is installed; these are its types. */
export function checkNodeVersion(version?: string): void
export function prepare(options?: { page?: boolean; rebuild?: boolean }): Promise<void>
