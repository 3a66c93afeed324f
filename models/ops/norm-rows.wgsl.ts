/**
 * What the root mean square norms have in common in WGSL: one row a workgroup, walked by LANES at a time (`rowKernel`).
 * Each leaves `start`, where the row begins in what is written, `xAt`, where it begins in x, and
 * `r` = 1 / sqrt(mean(x²) + eps).
 */

export interface NormRow {
  readonly width: number
  readonly eps: number
  /** WGSL for `xAt`; left out: `start`. */
  readonly xAt?: string
}

const eachColumn = (width: number, body: string) =>
  `  for (var c = lane; c < ${width}u; c += LANES) { ${body} }`

const begin = ({ width, xAt = 'start' }: NormRow) =>
  `  let start = row * ${width}u;
  let xAt = ${xAt};
  var squares = 0.0f;`

const end = ({ width, eps }: NormRow) => `  let r = inverseSqrt(reduceSum(squares) / ${width}.0f + ${eps}f);`

export const reciprocalOfRow = (row: NormRow): string =>
  [begin(row), eachColumn(row.width, 'let v = x[xAt + c]; squares += v * v;'), end(row)].join('\n')

/** `y`: WGSL for the normed row at column c; reads `r`. */
export const normForward = (row: NormRow, y: string): string =>
  [reciprocalOfRow(row), eachColumn(row.width, `y[start + c] = ${y};`)].join('\n')

/** dx = r g - x r³ mean(g x) (+ addTo), with `g` the gradient of the normed row at column c, in WGSL. */
export const normBackward = (
  row: NormRow,
  { g, addTo, setUp = '' }: { readonly g: string; readonly addTo: boolean; readonly setUp?: string },
): string =>
  [
    begin(row),
    `  var products = 0.0f;\n${setUp}`,
    eachColumn(row.width, `let v = x[xAt + c]; squares += v * v; products += ${g} * v;`),
    end(row),
    `  let pull = reduceSum(products) / ${row.width}.0f * r * r * r;`,
    eachColumn(
      row.width,
      `dx[start + c] = ${g} * r - x[xAt + c] * pull${addTo ? ' + addTo[start + c]' : ''};`,
    ),
  ].join('\n')
