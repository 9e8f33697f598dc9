/** Starts the console: its database, the web service and the mailbox. */
import { StartError, listening, type ProcessContext, type Running } from '../process/run.ts'
import { formatHostPort, type Settings } from '../process/option.ts'
import { SettingsError, type WithCommon } from '../process/settings.ts'
import { isLoopback, keyCheck } from './access.ts'
import { consoleMetrics } from './console-metrics.ts'
import { EventStore } from './event-store.ts'
import { serveHttp } from './http-server.ts'
import { MailStore } from './mail-store.ts'
import { mailboxLimits, serveMailbox } from './mailbox-server.ts'
import type { ConsoleOptions } from './options.ts'
import { Retention } from './retention.ts'
import { Store, StoreError } from './store.ts'

/** How often the bounds of the database are looked after. */
const retentionMs = 5_000

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
  const store = openStore(settings.dataDir)
  const events = new EventStore(store)
  const mails = new MailStore(store)
  const metrics = consoleMetrics(context.metrics, {
    events: () => events.count(),
    mails: () => mails.count(),
    bytes: () => store.bytesUsed(),
  })
  const troubled = (error: Error) => {
    health.set(
      'database',
      `the database can't be written: ${error.message}. Check space and permissions of --data-dir.`,
    )
    log.error({ reason: error.message }, 'could not store what was received')
  }
  store.onCommit(() => health.set('database', undefined))
  await mails.sweep()

  const retention = new Retention(store, {
    eventsMax: settings.keepEvents,
    mailsMax: settings.keepMails,
    bytesMax: settings.keepBytes,
  })
  const forget = async () => {
    try {
      const forgotten = await retention.enforce()
      metrics.forgotten.inc({ what: 'events' }, forgotten.events)
      metrics.forgotten.inc({ what: 'mails' }, forgotten.mails)
    } catch (error) {
      troubled(error as Error)
    }
  }
  await forget()
  let forgetting = Promise.resolve()
  const timer = setInterval(() => {
    forgetting = forgetting.then(forget)
  }, retentionMs)

  const closers: (() => Promise<void>)[] = []
  const close = async () => {
    clearInterval(timer)
    await Promise.all(closers.map(close => close()))
    await forgetting
    await store.close()
  }
  try {
    const http = await listening(settings.inHostport, () =>
      serveHttp({ at: settings.inHostport, trackingUrl: settings.trackingUrl }, events, mails, {
        isKey: keyCheck(settings.apiKey),
        now: Date.now,
        onEvents: (source, outcome, count) => metrics.events.inc({ source, outcome }, count),
        onRefused: (source, status) => metrics.refused.inc({ source, status: String(status) }),
        onFailure: troubled,
      }),
    )
    closers.push(http.close)
    const mailbox = await listening(settings.smtpHostport, () =>
      serveMailbox(
        settings.smtpHostport,
        mails,
        { ...mailboxLimits, messageBytesMax: settings.maxMessageBytes },
        {
          onMail: bytes => {
            metrics.mails.inc()
            metrics.mailBytes.inc(bytes)
          },
          onRefused: (reason, error) => {
            metrics.mailsRefused.inc({ reason })
            if (reason === 'store' && error) troubled(error)
          },
        },
      ),
    )
    closers.push(mailbox.close)
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

function openStore(dir: string): Store {
  try {
    return Store.open(dir)
  } catch (error) {
    if (error instanceof StoreError) throw new StartError(error.message)
    throw error
  }
}
