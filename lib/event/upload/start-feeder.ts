/** Wires the feeder from its settings. */
import { EventConsumer } from '../../queue/event-consumer.ts'
import { type ProcessContext, type Running } from '../../process/run.ts'
import { StartError } from '../../process/start-error.ts'
import { RecordStore } from '../../record/record-store.ts'
import { claimConsumerName } from './consumer-name.ts'
import { DeadLetterSource } from './dead-letter-source.ts'
import { DeadLetters } from './dead-letters.ts'
import { destinationOf, type feederOptions } from './feeder-options.ts'
import type { EventSource } from './event-source.ts'
import { Feeder, type HeldEvent, tooOldReason } from './feeder.ts'
import { openTransport } from './transport.ts'
import { Uploader } from './uploader.ts'

/** An event is given up this long before the service would drop it: it travels, and clocks differ. */
const ageMarginMs = 60_000

export async function startFeeder(context: ProcessContext<typeof feederOptions>): Promise<Running> {
  const { settings, log, health, metrics, onReload } = context
  const { redisUrl, partitions, replay } = settings
  const destination = destinationOf(settings)
  const consumer = await claimConsumerName(settings.deadLetterDir, settings.consumer)
  const { name } = consumer
  const deadLetters = await mustOpen(settings.deadLetterDir, () =>
    DeadLetters.open(settings.deadLetterDir, settings.deadLetterMaxBytes, name),
  )
  const source = await openSource(context, name)
  const records = await RecordStore.open({
    redisUrl,
    partitions,
    log,
    health,
    metrics,
    prefix: 'feeder',
    isReadOnly: true,
  })
  const transport = openTransport({ timeoutMs: settings.requestTimeout, connectionsMax: settings.uploads })
  const eventAgeMsMax =
    settings.eventAgeMax ??
    (destination.eventAgeMsMax === undefined ? Infinity : destination.eventAgeMsMax - ageMarginMs)
  const uploader = new Uploader<HeldEvent>({
    destination,
    transport,
    log,
    health,
    metrics,
    prefix: 'feeder',
    giveUp: (item, nowMs) => (nowMs - item.at > eventAgeMsMax ? tooOldReason(eventAgeMsMax) : undefined),
  })
  onReload(() => uploader.reload())
  const feeder = new Feeder({
    source,
    records,
    destination,
    uploader,
    transport,
    deadLetters,
    limits: {
      batchBytes: settings.batchBytes,
      batchAgeMs: settings.batchAge,
      recordWaitMs: settings.recordWait,
      uploadsMax: settings.uploads,
      eventAgeMsMax,
    },
    verify: settings.verify,
    log,
    health,
    metrics,
  })
  log.info({ destination: destination.name, at: new URL(destination.url).origin, consumer: name, replay }, 'feeding')
  const done = feeder.run()
  return {
    done,
    close: async () => {
      await feeder.stop()
      await Promise.all([source.close(), records.close(), transport.close()])
      await consumer.release()
      log.info(feeder.totals(), 'ended')
    },
  }
}

type ClosableSource = EventSource & { readonly close: () => void | Promise<void> }

async function openSource(context: ProcessContext<typeof feederOptions>, consumer: string): Promise<ClosableSource> {
  const { settings, log, health, metrics } = context
  const { redisUrl, partitions, lease, replay } = settings
  if (replay !== undefined) return mustOpen(`--replay ${replay}`, () => DeadLetterSource.open(replay))
  return EventConsumer.open({ redisUrl, partitions, consumer, leaseMs: lease, log, health, metrics })
}

async function mustOpen<T>(name: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new StartError(`${name} can't be opened (${code}): check the path and its permissions`)
  }
}
