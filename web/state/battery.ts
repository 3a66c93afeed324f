/** Whether this device runs on its battery, where the browser says so (Chromium does). */
import { signal } from '@preact/signals'

/** 0 to 1 while discharging; null on mains or where nothing is known. */
export const batteryLevel = signal<number | null>(null)

interface BatteryManager extends EventTarget {
  readonly charging: boolean
  readonly level: number
}

async function watch(): Promise<void> {
  const { getBattery } = navigator as Navigator & { getBattery?: () => Promise<BatteryManager> }
  if (!getBattery) return
  const battery = await getBattery.call(navigator)
  const tell = () => {
    batteryLevel.value = battery.charging ? null : battery.level
  }
  tell()
  battery.addEventListener('chargingchange', tell)
  battery.addEventListener('levelchange', tell)
}

watch().catch(() => {})
