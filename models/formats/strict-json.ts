/**
 * JSON from strangers: UTF-8 without repair, no name twice in one object, nesting bounded before the parser
 * sees it. JSON.parse alone keeps the last of two equal names, so two readers of one file could disagree
 * about what it says; and deep nesting can exhaust a parser's stack.
 */

/** Thrown for any text that is not JSON as described above; callers wrap it in their format's error. */
export class StrictJsonError extends Error {}

/** Leading byte order marks are kept, so that the parser refuses them instead of the decoder hiding them. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const SURROGATE = /\p{Surrogate}/u

/** @throws StrictJsonError when the bytes are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    // A copy, because TextDecoder refuses views of shared memory in browsers.
    return utf8.decode(new Uint8Array(bytes))
  } catch {
    throw new StrictJsonError('is not UTF-8')
  }
}

/**
 * One pass over the text outside JSON's grammar, before the parser: counts nesting and collects each
 * object's names. A text that is not JSON may pass here; JSON.parse then refuses it.
 */
function checkNestingAndNames(text: string, maxDepth: number): void {
  const open: Set<string>[] = []
  let position = 0
  while (position < text.length) {
    const character = text.charCodeAt(position)
    if (character === 0x7b || character === 0x5b) {
      open.push(new Set())
      if (open.length > maxDepth) throw new StrictJsonError(`is nested more than ${maxDepth} deep`)
    } else if (character === 0x7d || character === 0x5d) {
      open.pop()
    } else if (character === 0x22) {
      const start = position
      for (position++; position < text.length && text.charCodeAt(position) !== 0x22; position++) {
        if (text.charCodeAt(position) === 0x5c) position++
      }
      let next = position + 1
      while (next < text.length && ' \t\n\r'.includes(text[next])) next++
      const names = open.at(-1)
      if (text[next] === ':' && names) {
        const name = parse(text.slice(start, position + 1)) as string
        if (names.has(name)) throw new StrictJsonError(`has the name ${JSON.stringify(name)} twice`)
        if (SURROGATE.test(name)) throw new StrictJsonError('has a name that is not valid Unicode')
        names.add(name)
      }
    }
    position++
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new StrictJsonError('is not JSON')
  }
}

/** @throws StrictJsonError; its message continues a sentence: "The header ...". */
export function parseStrictJson(text: string, maxDepth: number): unknown {
  checkNestingAndNames(text, maxDepth)
  return parse(text)
}
