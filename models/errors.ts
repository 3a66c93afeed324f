/**
 * Errors of the models/ side. Every error a person can meet carries a stable code (for programs) and one
 * sentence that says what was tried, what was found and the next step (for the person).
 */
export class ModelsError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** A file is not what its format's specification allows; nothing of it is believed. */
export class FormatError extends ModelsError {}

/** A person's data cannot be turned into examples: empty, binary, too short, or a broken row. */
export class DataError extends ModelsError {}

/** An adapter, update or vocabulary does not belong to this base model. */
export class MismatchError extends ModelsError {}

/** The device cannot do what was asked: missing backend, lost device, too little memory. */
export class DeviceError extends ModelsError {}

/** A file behind an address could not be had: nothing there, a broken connection, another file than expected. */
export class DownloadError extends ModelsError {}
