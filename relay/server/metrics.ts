/**
 * `/metrics` for Prometheus: how much the relay holds and does, in sums over everybody. No label names a room, a
 * participant or an address, so the numbers say nothing about a person. https://prometheus.io/docs/instrumenting/
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Room } from './room.ts'

export interface MetricSources {
  readonly rooms: () => Iterable<Room>
  readonly sockets: () => number
}

export class RelayMetrics {
  readonly #registry = new Registry()
  readonly #messages: Histogram<'event'>
  readonly #refusals: Counter<'code'>
  readonly #chunkBytes: Counter

  constructor({ rooms, sockets }: MetricSources) {
    const registers = [this.#registry]
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    const sum = (of: (room: Room) => number) => [...rooms()].reduce((total, room) => total + of(room), 0)
    gauge('oneround_sockets', 'Connections open.', sockets)
    gauge('oneround_rooms', 'Rooms kept.', () => sum(() => 1))
    gauge('oneround_participants', 'Participants connected.', () => sum((room) => room.status().connected))
    gauge('oneround_contributions', 'Updates that count.', () => sum((room) => room.status().contributions))
    gauge('oneround_waiting', 'Updates in no version yet.', () => sum((room) => room.status().waiting))
    gauge('oneround_versions', 'Versions published.', () => sum((room) => room.status().versions))
    gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss())
    gauge('process_start_time_seconds', 'When the process started.', () =>
      Math.round(Date.now() / 1000 - process.uptime()),
    )
    gauge('nodejs_heap_used_bytes', 'Heap in use.', () => process.memoryUsage().heapUsed)
    this.#messages = new Histogram({
      name: 'oneround_message_seconds',
      help: 'From a message to its answer.',
      labelNames: ['event'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
      registers,
    })
    this.#refusals = new Counter({
      name: 'oneround_refusals_total',
      help: 'Messages and connections refused.',
      labelNames: ['code'],
      registers,
    })
    this.#chunkBytes = new Counter({
      name: 'oneround_received_bytes_total',
      help: 'Bytes of updates accepted as chunks.',
      registers,
    })
  }

  /** `event` is one of the protocol's, so that nobody can invent labels. */
  answered(event: string, seconds: number): void {
    this.#messages.observe({ event }, seconds)
  }

  refused(code: string): void {
    this.#refusals.inc({ code })
  }

  received(bytes: number): void {
    this.#chunkBytes.inc(bytes)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}
