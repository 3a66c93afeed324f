/** What of WebDriver's commands (https://www.w3.org/TR/webdriver2/) the tests need, over whichever way a browser takes them. */

/** Why a browser is not tested here, with what to install. */
export type Missing = { readonly missing: string }

export interface Commands {
  /** To be called once, before the others. */
  newSession(): Promise<{ browserName: string; browserVersion: string }>
  navigate(url: string): Promise<void>
  reload(): Promise<void>
  /** Answers what `script`, a function's body, returns or promises; `args` are its arguments. Both are JSON. */
  execute(script: string, args: readonly unknown[]): Promise<unknown>
  /** Of the window, in CSS pixels. Windows have a smallest size of their own. */
  resize(width: number, height: number): Promise<void>
  /** A PNG of the window, base64. */
  screenshot(): Promise<string>
}
