/** Starts the console: its database, the web service and the mailbox. */
import { isLoopback } from '../network/loopback.ts'
import { listening, type ProcessContext, type Running } from '../process/run.ts'
import { StartError } from '../process/start-error.ts'
import { formatHostPort, type Settings } from '../process/option.ts'
import { SettingsError, type WithCommon } from '../process/settings.ts'
import { keyCheck } from './access.ts'
import { Archive } from './archive.ts'
import { consoleMetrics } from './console-metrics.ts'
import { serveHttp } from './http-server.ts'
import { mailboxLimits, serveMailbox } from './mailbox-server.ts'
import type { ConsoleOptions } from './options.ts'
import { StoreError } from './store-error.ts'
import { whatFails } from './what-fails.ts'

/** How often the bounds of the database are looked after, and whether it can be written where it could not be. */
const tendMs = 5_000

/** @throws {SettingsError} when mails and events would be open to the network */
export function validateConsole(settings: Settings<WithCommon<ConsoleOptions>>): void {
  if (settings.apiKey !== undefined) return
  for (const [name, at] of [
    ['in-hostport', settings.inHostport],
    ['smtp-hostport', settings.smtpHostport],
  ] as const) {
    if (!isLoopback(at.host)) {
      throw new SettingsError(
        `--${name} ${formatHostPort(at)} can be reached from other machines: set an API key (CONSOLE_API_KEY) or use 127.0.0.1`,
      )
    }
  }
}

export async function startConsole(context: ProcessContext<ConsoleOptions>): Promise<Running> {
  const { settings, log, health } = context
  const archive = await openArchive(settings)
  const metrics = consoleMetrics(context.metrics, () => archive.call('counts'))
  let isTroubled = false
  const troubled = (failed: 'store' | 'read', error: Error) => {
    isTroubled = true
    health.set(
      'database',
      failed === 'store'
        ? `the database can't be written: ${error.message}. Check space and permissions of --data-dir.`
        : `the database can't be read: ${error.message}. Check disk and permissions of --data-dir.`,
    )
    log.error(
      { reason: error.message },
      failed === 'store' ? 'could not store what was received' : 'could not read what was asked for',
    )
  }
  const well = () => {
    isTroubled = false
    health.set('database', undefined)
  }

  const tend = async () => {
    try {
      const forgotten = await archive.call('enforceBounds')
      metrics.forgotten.inc({ what: 'events' }, forgotten.events)
      metrics.forgotten.inc({ what: 'mails' }, forgotten.mails)
      // Else health would name a disk that was full until somebody sends something.
      if (!isTroubled) return
      await archive.call('tryWriting')
      await archive.call('counts')
      well()
      log.info('the database can be written and read again')
    } catch (error) {
      troubled(await whatFails(archive), error as Error)
    }
  }
  await archive.call('sweepMails').catch(async (error: Error) => troubled(await whatFails(archive), error))
  await tend()
  let tending = Promise.resolve()
  const timer = setInterval(() => {
    tending = tending.then(tend)
  }, tendMs)

  const servers: { close: () => Promise<void> }[] = []
  const close = async () => {
    clearInterval(timer)
    await Promise.all(servers.map(server => server.close()))
    await tending
    await archive.close()
  }
  try {
    servers.push(
      await listening(settings.inHostport, () =>
        serveHttp({ at: settings.inHostport, trackingUrl: settings.trackingUrl }, archive, {
          isKey: keyCheck(settings.apiKey),
          onEvents: (source, outcome, count) => {
            metrics.events.inc({ source, outcome }, count)
            well()
          },
          onRefused: (source, status) => metrics.refused.inc({ source, status: String(status) }),
          onFailure: troubled,
        }),
      ),
    )
    servers.push(
      await listening(
        settings.smtpHostport,
        () =>
          serveMailbox(
            settings.smtpHostport,
            archive,
            { ...mailboxLimits, messageBytesMax: settings.maxMessageBytes },
            {
              onMail: bytes => {
                metrics.mails.inc()
                metrics.mailBytes.inc(bytes)
                well()
              },
              onRefused: (reason, error) => {
                metrics.mailsRefused.inc({ reason })
                if (reason === 'store' && error) troubled('store', error)
              },
            },
          ),
        'smtp-hostport',
      ),
    )
  } catch (error) {
    await close()
    throw error
  }
  log.info(
    {
      http: formatHostPort(settings.inHostport),
      smtp: formatHostPort(settings.smtpHostport),
      dataDir: settings.dataDir,
      key: settings.apiKey === undefined ? 'any' : 'set',
    },
    'listening',
  )
  return { close }
}

async function openArchive(settings: Settings<ConsoleOptions>): Promise<Archive> {
  try {
    return await Archive.open(settings.dataDir, {
      eventsMax: settings.keepEvents,
      mailsMax: settings.keepMails,
      bytesMax: settings.keepBytes,
    })
  } catch (error) {
    if (error instanceof StoreError) throw new StartError(error.message)
    throw error
  }
}
