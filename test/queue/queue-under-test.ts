/** What the tests of the queue share: producers and consumers on a Redis, and an account of every event. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import { Registry } from 'prom-client'
import { randomEventId } from '../../lib/event/event-id.ts'
import type { TrackingEvent } from '../../lib/event/event.ts'
import { Health } from '../../lib/process/health.ts'
import { EventConsumer, type QueuedEvent } from '../../lib/queue/event-consumer.ts'
import { EventProducer, type EventProducerOptions, type PushOutcome } from '../../lib/queue/event-producer.ts'
import { startProcess, until, type StartedProcess } from '../support/process.ts'
import { sized } from '../support/soak.ts'

/** What every process hands to the queue, each time anew; with what was logged. */
export function hooks(redisUrl: string) {
  const lines: string[] = []
  return {
    redisUrl,
    partitions: 4,
    log: pino({ level: 'debug' }, { write: (line: string) => lines.push(line) }),
    health: new Health(),
    metrics: new Registry(),
    lines,
  }
}

export type Hooks = ReturnType<typeof hooks>

let made = 0

export function newEvent(): TrackingEvent {
  made++
  return {
    type: 'click',
    id: randomEventId(),
    messageId: `0000${String(made).padStart(16, '0')}`,
    at: 1_700_000_000_000 + made,
    url: `https://example.com/${made}`,
  }
}

const opened: { close: () => Promise<void> }[] = []
const folders: string[] = []

/** Closes what a test opened, also one that failed; for `afterEach`. */
export async function closeAll(): Promise<void> {
  await Promise.all(opened.splice(0).map(each => each.close()))
  await Promise.all(folders.splice(0).map(dir => rm(dir, { recursive: true, force: true })))
}

/** A fresh folder, removed by `closeAll`. */
export async function newFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'mta-queue-'))
  folders.push(dir)
  return dir
}

/** A producer that keeps account of what it was told to be safe. */
export async function openProducer(with_: Hooks, options: Partial<EventProducerOptions> = {}) {
  const spillDir = options.spillDir ?? (await newFolder())
  const producer = await EventProducer.open({ ...with_, prefix: 'test', ...options, spillDir })
  opened.push(producer)
  const safe = new Map<string, TrackingEvent>()
  const outcomes: Record<PushOutcome, number> = { queued: 0, spilled: 0, dropped: 0 }
  const push = async (event = newEvent()) => {
    const outcome = await producer.push(event)
    outcomes[outcome]++
    if (outcome !== 'dropped') safe.set(event.id, event)
    return outcome
  }
  return { producer, safe, outcomes, push }
}

export async function openConsumer(with_: Hooks, name = 'one', leaseMs = 60_000) {
  const consumer = await EventConsumer.open({ ...with_, consumer: name, leaseMs })
  opened.push(consumer)
  return consumer
}

/** Starts one of the child processes beside this file, ended by `closeAll`. */
export async function startChild(name: string, ...args: readonly string[]): Promise<StartedProcess> {
  const child = await startProcess('node', [fileURLToPath(new URL(name, import.meta.url)), ...args])
  opened.push({
    close: async () => {
      child.kill('SIGKILL')
      await child.exited
    },
  })
  return child
}

/** Pushes from many sides until stopped. */
export function pushing(push: () => Promise<unknown>): () => Promise<void> {
  const stop = new AbortController()
  const writers = Array.from({ length: 32 }, async () => {
    while (!stop.signal.aborted) {
      await push()
      await new Promise(setImmediate)
    }
  })
  const close = async () => {
    stop.abort()
    await Promise.all(writers)
  }
  opened.push({ close })
  return close
}

/** How often each event came, by the account that it belongs to. */
const arrivals = new WeakMap<ReadonlyMap<string, TrackingEvent>, Map<string, number>>()

/** Takes some events, keeps account of them, has them done with. */
export async function takeSome(consumer: EventConsumer, safe: ReadonlyMap<string, TrackingEvent>, waitMs = 200) {
  const came = arrivals.get(safe) ?? new Map<string, number>()
  arrivals.set(safe, came)
  const entries = await consumer.take(500, waitMs)
  for (const { event } of entries) {
    assert.ok(event)
    const pushed = safe.get(event.id)
    if (pushed) assert.deepEqual(event, pushed)
    came.set(event.id, (came.get(event.id) ?? 0) + 1)
  }
  await finish(consumer, entries)
  return came
}

/** Takes events and has them done with until all of `safe` have come, now or before; each as it was pushed. */
export async function expectAll(
  consumer: EventConsumer,
  safe: ReadonlyMap<string, TrackingEvent>,
  timeoutMs = sized(15_000, 180_000),
) {
  const missing = () => [...safe.keys()].filter(id => arrivals.get(safe)?.has(id) !== true)
  return until(
    'all events to come out of the queue',
    async () => {
      const came = await takeSome(consumer, safe)
      // Looking at each takes long in the long form; it is worth it once there are enough.
      return (arrivals.get(safe)?.size ?? 0) >= safe.size && missing().length === 0 && came
    },
    timeoutMs,
    0,
  ).catch((error: unknown) => {
    throw new Error(`${missing().length} of ${safe.size} events did not come`, { cause: error })
  })
}

/** `done`, until Redis confirms it. */
export function finish(consumer: EventConsumer, entries: readonly QueuedEvent[]) {
  return until('the queue to confirm', () => consumer.done(entries).then(() => true))
}

/** The value of a metric, summed over its labels or of those given. */
export async function metric(registry: Registry, name: string, labels: Record<string, string> = {}): Promise<number> {
  const values = (await registry.getSingleMetric(name)?.get())?.values ?? []
  return values
    .filter(value => Object.entries(labels).every(([label, text]) => value.labels[label] === text))
    .reduce((sum, { value }) => sum + value, 0)
}

/** Where all events that were pushed are: what went in is what came out and what is still inside. */
export async function expectConserved(metrics: Registry, waiting: number): Promise<void> {
  const value = (name: string, labels = {}) => metric(metrics, name, labels)
  const spilled = await value('test_events_pushed_total', { outcome: 'spilled' })
  let drained = 0
  // What is being drained is counted a moment after it left the disk.
  await until('what was spilled to be drained or on disk', async () => {
    drained = await value('test_spill_drained_total')
    const requeued = await value('test_events_requeued_total')
    return spilled + requeued === drained + (await value('test_spill_events'))
  })
  const queued = (await value('test_events_pushed_total', { outcome: 'queued' })) + drained
  const done = await value('feeder_queue_done_total')
  const requeued = await value('test_events_requeued_total')
  // What timed out and was executed all the same is in the queue twice.
  assert.ok(done + waiting >= queued - requeued, `${done} done and ${waiting} waiting of ${queued} queued`)
}

/** Of all that was pushed; one that was told so because the disk hung for a second may have been kept all the same. */
export async function expectNoneDropped(metrics: Registry): Promise<void> {
  assert.equal(await metric(metrics, 'test_events_pushed_total', { outcome: 'dropped' }), 0)
}
