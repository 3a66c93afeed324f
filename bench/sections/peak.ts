/** The device's own peaks. */
import type { Section } from '../agenda.ts'
import { measurePeaks } from '../peaks.ts'
import { type BenchContext, NO_WEBGPU } from '../section.ts'

export function peakSection({ webgpu, log, found }: BenchContext): Section {
  if (!webgpu) return { parts: [], report: () => NO_WEBGPU }
  return {
    parts: [
      {
        name: 'multiply-adds and streams',
        seconds: 20,
        run: async () => {
          found.peaks = await measurePeaks(webgpu, log)
        },
      },
    ],
    report: () => found.peaks ?? null,
  }
}
