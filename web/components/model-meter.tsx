/** The base model on its way to the device: bytes, speed, time left, and what came from this browser. */
import { modelProgress } from '../state/store.ts'
import { download as text } from '../strings/download.ts'
import { join } from '../strings/join.ts'
import { Meter } from './meter.tsx'

export function ModelMeter() {
  const progress = modelProgress.value
  if (!progress)
    return <Meter label={text.label} words={join.starting} fraction={null} testId="model-progress" />
  if (progress.stage !== 'downloading') {
    return (
      <Meter
        label={text.label}
        words={progress.stage === 'verifying' ? text.verifying : text.loading}
        detail={progress.cachedBytes > 0 ? text.fromCache(progress.cachedBytes) : undefined}
        fraction={null}
        testId="model-progress"
      />
    )
  }
  return (
    <Meter
      label={text.label}
      words={text.downloading(progress.receivedBytes, progress.totalBytes)}
      detail={text.speed(progress.bytesPerSecond, progress.secondsLeft)}
      fraction={progress.receivedBytes / progress.totalBytes}
      testId="model-progress"
    />
  )
}
