/**
 * One text for one value, so that a digest of it means the value: names sorted by UTF-16 code units, no
 * spaces, numbers and strings as ECMAScript writes them (the JSON Canonicalization Scheme, RFC 8785).
 */

/**
 * Members that are undefined are left out, as in JSON.stringify.
 *
 * @throws TypeError for what JSON cannot say: NaN, infinities, bigint, functions, undefined in an array.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no form in JSON.`)
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${Array.from(value, canonicalJson).join(',')}]`
  if (typeof value === 'object') {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([x], [y]) => (x < y ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`)
    return `{${members.join(',')}}`
  }
  throw new TypeError(`A ${typeof value} has no form in JSON.`)
}
