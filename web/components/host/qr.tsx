/** A QR code as one path: dark on white in light and dark alike, because cameras expect it so. */
import { useMemo } from 'preact/hooks'
import { encode } from 'uqr'
import { console as text } from '../../strings/host.ts'

/** Modules of white around it: the standard asks for four. */
const BORDER = 4

export function QrCode({ link }: { readonly link: string }) {
  const { size, path } = useMemo(() => {
    const { data, size: modules } = encode(link, { ecc: 'M', border: BORDER })
    const rows = data.flatMap((row, top) =>
      row.flatMap((dark, left) => (dark ? [`M${left} ${top}h1v1h-1z`] : [])),
    )
    return { size: modules, path: rows.join('') }
  }, [link])
  return (
    <svg
      class="qr"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={text.qrLabel(link)}
      data-testid="host-qr"
    >
      <rect width={size} height={size} fill="#ffffff" />
      <path d={path} fill="#000000" shape-rendering="crispEdges" />
    </svg>
  )
}
