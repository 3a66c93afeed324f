/**
 * A command's options: declared once, parsed strictly (node:util), checked on access. Whatever is wrong with
 * the command line is a UsageError that names the option, what was found and what belongs there.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { UsageError } from './errors.ts'

export interface OptionSpec {
  readonly type: 'string' | 'boolean'
  readonly multiple?: true
  readonly short?: string
  /** Stands for the value in the help, e.g. `FILE`. */
  readonly value?: string
  readonly help: string
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>

/** Every command takes these. */
export const COMMON_OPTIONS: OptionSpecs = {
  json: { type: 'boolean', help: 'print exactly one JSON object on stdout' },
  help: { type: 'boolean', short: 'h', help: 'show this help' },
}

/** Commands that run a model take this. */
export const BACKEND_OPTION: OptionSpecs = {
  backend: { type: 'string', value: 'NAME', help: 'webgpu, wasm or cpu; default: the fastest here' },
}

interface Range {
  readonly least: number
  readonly most: number
}

export class Arguments {
  readonly positionals: readonly string[]
  readonly #values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

  /** Throws UsageError. */
  constructor(argv: readonly string[], specs: OptionSpecs) {
    const options: ParseArgsConfig['options'] = {}
    for (const [name, { type, multiple, short }] of Object.entries(specs)) {
      options[name] = { type, ...(multiple && { multiple }), ...(short && { short }) }
    }
    try {
      const parsed = parseArgs({ args: [...argv], options, strict: true, allowPositionals: true })
      this.#values = parsed.values
      this.positionals = parsed.positionals
    } catch (error) {
      // parseArgs says what is wrong in its first sentence; the rest is about its own conventions.
      const message = (error as Error).message.split(/\. |\n/)[0]
      throw new UsageError(`${message.replace(/\.$/, '')}.`)
    }
  }

  flag(name: string): boolean {
    return this.#values[name] === true
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    if (value === '') throw new UsageError(`--${name} is empty.`)
    return typeof value === 'string' ? value : undefined
  }

  needed(name: string, what: string): string {
    const value = this.text(name)
    if (value === undefined) throw new UsageError(`--${name} is missing: ${what}.`)
    return value
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name]
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
  }

  number(name: string, { least, most }: Range): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = parseNumber(text)
    if (!(value >= least && value <= most)) {
      throw new UsageError(`--${name} takes a number from ${least} to ${most}, not ${JSON.stringify(text)}.`)
    }
    return value
  }

  integer(name: string, { least, most }: Range): number | undefined {
    const value = this.number(name, { least, most })
    if (value !== undefined && !Number.isInteger(value)) {
      throw new UsageError(`--${name} takes a whole number from ${least} to ${most}, not ${value}.`)
    }
    return value
  }

  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const found = choices.find((choice) => choice === text)
    if (!found) {
      throw new UsageError(`--${name} takes one of ${choices.join(', ')}, not ${JSON.stringify(text)}.`)
    }
    return found
  }

  /** For commands without positional arguments. */
  noPositionals(): void {
    if (this.positionals.length > 0) {
      throw new UsageError(`${JSON.stringify(this.positionals[0])} is not expected here.`)
    }
  }
}

/** Number('') and Number(' ') are 0, Number('0x10') is 16: not what a person meant. */
export function parseNumber(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
}

/** The options as help: one line each, aligned. */
export function describeOptions(specs: OptionSpecs): string {
  const rows = Object.entries(specs).map(([name, { value, short, help }]) => [
    `  --${name}${value ? ` ${value}` : ''}${short ? `, -${short}` : ''}`,
    help,
  ])
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, help]) => `${left.padEnd(width)}  ${help}`).join('\n')
}
