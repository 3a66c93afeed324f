/** A small picture, each of its pixels a square; its caption is what a screen reader says. */
import { useEffect, useRef } from 'preact/hooks'

interface PixelPictureProps {
  /** RGB [side * side * 3]. */
  readonly pixels: Uint8Array
  readonly side: number
  readonly label: string
  readonly testId?: string
}

export function PixelPicture({ pixels, side, label, testId }: PixelPictureProps) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    const context = canvas.current?.getContext('2d')
    if (!context) return
    const image = context.createImageData(side, side)
    for (let i = 0; i < side * side; i++) {
      image.data.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i)
      image.data[4 * i + 3] = 255
    }
    context.putImageData(image, 0, 0)
  }, [pixels, side])
  return (
    <canvas
      ref={canvas}
      class="picture"
      width={side}
      height={side}
      role="img"
      aria-label={label}
      data-testid={testId}
    />
  )
}
