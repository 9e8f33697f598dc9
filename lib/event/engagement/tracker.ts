/** The tracker as a process: puts settings, keys, queue and server together. */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { LinkKeys } from '../../link/keys.ts'
import { EventProducer } from '../../queue/event-producer.ts'
import { NetworkList } from '../../network/network-list.ts'
import { listening, type ProcessContext, type Running } from '../../process/run.ts'
import { joinSiblings, siblingNumber } from '../../process/sibling-processes.ts'
import { StartError } from '../../process/start-error.ts'
import { decide, TrackerMemory, type TrackerPolicy } from './engagement.ts'
import { readNamedFile } from '../../process/named-file.ts'
import { openGeo } from './geo.ts'
import { LastReading } from './last-reading.ts'
import { networkLines } from './network-lines.ts'
import type { trackerOptions } from './options.ts'
import { tokenOf } from './request-path.ts'
import { trackerMetrics } from './tracker-metrics.ts'
import { serveTracker } from './tracker-server.ts'

type Context = ProcessContext<typeof trackerOptions>

/** What SIGHUP reads anew. */
interface Loaded {
  readonly keys: LinkKeys
  readonly policy: TrackerPolicy
}

/** Those that take long to read. */
interface LargeFiles {
  readonly geo: LastReading<ReturnType<typeof openGeo>>
  readonly relays: LastReading<ReturnType<typeof openRelays>>
}

/** @throws {StartError} when keys or database can't be read or the port can't be opened */
export async function startTracker(context: Context): Promise<Running> {
  const { settings, log, health, metrics } = context
  const files: LargeFiles = { geo: new LastReading(openGeo), relays: new LastReading(openRelays) }
  let loaded: Loaded
  try {
    loaded = load(settings, files)
  } catch (error) {
    throw new StartError((error as Error).message)
  }
  context.onReload(() => {
    loaded = load(settings, files)
    log.info({ signingKey: loaded.keys.signing.id }, 'keys read anew')
  })

  const number = siblingNumber()
  const producer = await EventProducer.open({
    redisUrl: settings.redisUrl,
    partitions: settings.partitions,
    spillDir: number === 0 ? settings.spillDir : join(settings.spillDir, `process-${number}`),
    spillBytesMax: settings.spillMaxBytes,
    log,
    health,
    metrics,
    prefix: 'tracker',
  })
  const counted = trackerMetrics(metrics)
  const memory = new TrackerMemory()
  try {
    const server = await listening(settings.inHostport, () =>
      serveTracker(settings.inHostport, settings.processes > 1, {
        decide: request => decide(request, Date.now(), loaded.keys, loaded.policy, memory),
        record: (event, done) => {
          counted.event(event.type)
          producer.pushThen(event, done)
        },
        answered: (decision, request, seconds) => {
          counted.answered(decision.answer.kind, seconds)
          if (decision.refused) counted.refused(decision.refused)
          else if (request.method === 'HEAD' && decision.keyId !== undefined) counted.head()
          if (!settings.accessLog) return
          log.info(
            {
              method: request.method,
              status: decision.answer.status,
              answer: decision.answer.kind,
              key: decision.keyId,
              token: tokenHash(tokenOf(request.target, loaded.policy.pathPrefix)),
              refused: decision.refused,
              event: decision.event?.id,
              ms: Math.round(seconds * 1e5) / 100,
            },
            'request',
          )
        },
        failed: error => {
          counted.failed()
          log.error({ err: error }, 'request failed unexpectedly')
        },
      }),
    )
    log.info({ port: server.port, signingKey: loaded.keys.signing.id, sibling: number || undefined }, 'listening')
    if (number === 0) warnOfSpills(context)
    const siblings = joinSiblings(context, settings.processes, settings.metricsHostport !== undefined)
    return {
      close: async () => {
        await Promise.all([server.close(), siblings?.close()])
        await producer.close()
      },
    }
  } catch (error) {
    await producer.close()
    throw error
  }
}

/** What a sibling that is no longer started has left waits until it is started again. */
function warnOfSpills({ settings, log }: Context): void {
  const left = spillsBeyond(settings.spillDir, settings.processes)
  if (left === undefined) return
  log.warn(
    { dir: left },
    'events may wait there for a process that is no longer started: start once with more --processes',
  )
}

/** A folder of a sibling that is no longer started and left events behind. */
function spillsBeyond(spillDir: string, processes: number): string | undefined {
  for (const name of readdirSync(spillDir)) {
    const number = Number(/^process-(\d+)$/.exec(name)?.[1] ?? 0)
    const dir = join(spillDir, name)
    if (number >= processes && readdirSync(dir).some(file => file.endsWith('.segment'))) return dir
  }
  return undefined
}

function load(settings: Context['settings'], files: LargeFiles): Loaded {
  return {
    keys: LinkKeys.load(settings.linkKeys ?? ''),
    policy: {
      pathPrefix: pathOf(settings.trackingUrl),
      trustedProxies: new NetworkList(settings.trustedProxies),
      addressDetail: settings.ip,
      legacyLinks: settings.legacyLinks,
      legacyHosts: settings.legacyHosts,
      earlyClickMs: settings.earlyClick,
      geoOf: settings.geoipDb === undefined ? undefined : files.geo.of(settings.geoipDb),
      isAppleRelay: settings.appleRelays === undefined ? undefined : files.relays.of(settings.appleRelays),
    },
  }
}

function openRelays(file: string): (address: string) => boolean {
  try {
    const relays = new NetworkList(networkLines(readNamedFile(file).toString('latin1')))
    return address => relays.has(address)
  } catch (error) {
    throw new Error(`--apple-relays ${file} can't be used as a list of relays: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** Links begin with the tracking URL, which may have a path of its own. */
function pathOf(trackingUrl: string | undefined): string {
  if (trackingUrl === undefined) return ''
  return new URL(trackingUrl).pathname.replace(/\/+$/, '')
}

/** Enough to find the same link again in the log, not enough to follow it. */
function tokenHash(token: string | undefined): string | undefined {
  return token && createHash('sha256').update(token).digest('hex').slice(0, 16)
}
