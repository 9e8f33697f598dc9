/** Wires acct_etl from its settings. */
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Registry } from '../../process/prometheus.ts'
import { SegmentLog } from '../../durable/segment-log.ts'
import { Health } from '../../process/health.ts'
import { type ProcessContext, type Running } from '../../process/run.ts'
import { StartError } from '../../process/start-error.ts'
import { EventProducer } from '../../queue/event-producer.ts'
import { connectRedis } from '../../queue/redis.ts'
import { RecordStore } from '../../record/record-store.ts'
import type { DeliveryEvent } from '../event.ts'
import { AccountingLoader } from './accounting-loader.ts'
import { AccountingMeter } from './accounting-meter.ts'
import { finishReplays, replayFolder } from './left-replays.ts'
import { HeaderMemory } from './header-memory.ts'
import { setHeapEconomy } from './heap-economy.ts'
import { readInput } from './input.ts'
import type { acctEtlOptions } from './options.ts'
import { RecordSink } from './record-sink.ts'
import { RejectedRecords } from './rejected-records.ts'

type Context = ProcessContext<typeof acctEtlOptions>

/** After so long without input a quote left open is given up. */
const idleMs = 5_000
/** How long a start waits for the spill. */
const spillWaitMs = 15_000
/** How long the end of the input waits for the spill to be drained. */
const drainWaitMs = 5_000
/** Bytes of events, and of records, kept in memory in case that Redis loses what it has just confirmed. */
const confirmedBytesMax = 4e6
/** How soon events that found no place at all are pushed again, in milliseconds. */
const dropRetryMs = 500

export async function startAcctEtl(context: Context): Promise<Running> {
  const { settings, log, health, metrics, stopping } = context
  const { redisUrl, partitions, infile, spillDir } = settings
  const queue = { redisUrl, partitions, log, health, metrics, prefix: 'acct_etl', confirmedBytesMax }
  const input = await openInput(infile)
  // A file can be read again: nothing of it need be kept elsewhere, and a pipe's process may be using the folder.
  const spill = infile === undefined ? await openSpill(context) : undefined
  const records = await RecordStore.open(queue)
  const eventsDir = infile === undefined ? join(spillDir, 'events') : replayFolder(spillDir)
  const spillBytesMax = settings.spillMaxBytes
  const producer = settings.events
    ? await EventProducer.open({ ...queue, spillDir: eventsDir, spillBytesMax, isRetried: true })
    : undefined
  const ending = new AbortController()
  const finishing = finishReplays(
    spillDir,
    // Its figures are not those of this process.
    dir =>
      EventProducer.open({ ...queue, spillDir: dir, spillBytesMax, health: new Health(), metrics: new Registry() }),
    AbortSignal.any([stopping, ending.signal]),
    log,
  )
  const ttlSeconds = settings.ttlDays * 86_400
  const sink = new RecordSink({
    store: entries => records.putMany('accounting', entries, ttlSeconds),
    spill,
    onAway: setHeapEconomy,
    log,
    health,
    metrics,
  })
  const redis = connectRedis(redisUrl, 'store', { log, health })
  const headers = new HeaderMemory({ dir: spillDir, source: settings.source ?? hostname(), redis, log })
  const rejected = new RejectedRecords(
    settings.rejectFile ?? join(spillDir, 'rejected.ndjson'),
    settings.rejectMaxBytes,
    log,
  )
  const meter = new AccountingMeter(metrics)
  const loader = new AccountingLoader({
    headers: {
      recall: () => headers.recall(),
      // The header of a file is its own: an old file's columns must not become those of the pipe.
      save: async names => (infile === undefined ? headers.save(names) : undefined),
    },
    offer: entries => sink.offer(entries),
    push: producer ? pusher(producer) : undefined,
    reject: lines => rejected.add(lines, Date.now()),
    meter,
    health,
    now: Date.now,
  })
  log.info({ infile, events: settings.events, waiting: sink.spilledGroups }, 'reading accounting')

  const load = async () => {
    await readInput(input, { chunk: bytes => loader.accept(bytes), idle: () => loader.idle() }, stopping, idleMs)
    await loader.end()
    await sink.flush()
  }
  const loaded = load()
  const drained = async () => {
    await loaded
    const patience = infile === undefined ? drainWaitMs : Infinity
    const deadline = performance.now() + patience
    const isDrained = () => sink.spilledGroups === 0 && (producer?.spilledWaiting ?? 0) === 0
    while (!stopping.aborted && performance.now() < deadline && !isDrained()) {
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    if (infile !== undefined) await finishing
  }
  return {
    done: drained(),
    close: async () => {
      // That the input could not be read to its end is told already; what came before is stored all the same.
      await loaded.catch(() => undefined)
      ending.abort()
      await finishing
      await sink.close()
      await sink.keep(records.mayBeLost())
      await producer?.close()
      await rejected.flush()
      await headers.close()
      await records.close()
      redis.disconnect()
      const left = sink.spilledGroups
      await spill?.close()
      if (infile !== undefined && producer?.spilledWaiting === 0) await rm(eventsDir, { recursive: true, force: true })
      log.info({ ...meter.totals, ...sink.totals }, 'ended')
      if (left > 0) log.warn({ groups: left }, 'records wait on disk: the next start brings them to Redis')
    },
  }
}

/** Pushes events and holds the input while they find no place at all. */
function pusher(producer: EventProducer): (events: readonly DeliveryEvent[]) => Promise<void> {
  return async events => {
    let left = events
    while (left.length > 0) {
      const outcomes = await Promise.all(left.map(event => producer.push(event)))
      left = left.filter((_, index) => outcomes[index] === 'dropped')
      if (left.length > 0) await new Promise(resolve => setTimeout(resolve, dropRetryMs))
    }
  }
}

async function openInput(infile: string | undefined): Promise<Readable> {
  if (infile === undefined) return process.stdin
  try {
    const file = await open(infile)
    const found = await file.stat()
    await file.close()
    if (found.isDirectory()) throw Object.assign(new Error(), { code: 'a folder' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new StartError(`--infile ${infile} can't be read (${code}): check the path and its permissions`)
  }
  return createReadStream(infile, { highWaterMark: 256 * 1024 })
}

/**
 * PowerMTA may start the next process before the last one has let go, and a file that can't be read now may be in a
 * moment: ending would lose what is in the pipe.
 */
async function openSpill({ settings, log, stopping }: Context): Promise<SegmentLog> {
  const deadline = performance.now() + spillWaitMs
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await SegmentLog.open({
        dir: join(settings.spillDir, 'records'),
        bytesMax: settings.spillMaxBytes,
        onDamage: damage => log.error({ ...damage }, 'part of the spill is damaged'),
      })
    } catch (error) {
      if (stopping.aborted || performance.now() > deadline) throw error
      if (isFirst) log.warn({ reason: (error as Error).message }, 'the spill can not be opened, trying again for 15 s')
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}
