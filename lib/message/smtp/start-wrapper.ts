/** Puts the wrapper together from its settings. */
import { hostname } from 'node:os'
import { createSecureContext } from 'node:tls'
import { lookup } from 'node:dns/promises'
import { LinkKeys } from '../../link/keys.ts'
import { formatHostPort, type HostPort, type Settings } from '../../process/option.ts'
import { listening, type ProcessContext, type Running } from '../../process/run.ts'
import { StartError } from '../../process/start-error.ts'
import { joinSiblings } from '../../process/sibling-processes.ts'
import { SettingsError, type WithCommon } from '../../process/settings.ts'
import { RecordStore } from '../../record/record-store.ts'
import { missingFor } from '../tracking/tracking-settings.ts'
import { isLoopback, loopbackNetworks } from '../../network/loopback.ts'
import { NetworkList } from '../../network/network-list.ts'
import { RedisCopyLedger } from './accepted-copies.ts'
import { DebugFile } from './debug-file.ts'
import { defaultLimits } from './limits.ts'
import type { wrapperOptions } from './options.ts'
import { readNamedFile } from '../../process/named-file.ts'
import { RelayMetrics } from './relay-metrics.ts'
import { RelayServer, type Certificate } from './relay-server.ts'
import { TrackingRewriting } from './tracking-rewriting.ts'

export type WrapperSettings = Settings<WithCommon<typeof wrapperOptions>>

/** @throws {SettingsError} for settings that don't go together */
export function validateWrapper(settings: WrapperSettings): void {
  const { inHostport, outHostport, certfile, privkeyfile } = settings
  if ((certfile === undefined) !== (privkeyfile === undefined)) {
    throw new SettingsError('--certfile and --privkeyfile belong together: give both or none')
  }
  if (settings.inTls === 'implicit' && certfile === undefined) {
    throw new SettingsError('--in-tls implicit needs --certfile and --privkeyfile')
  }
  if (outHostport.host === '') throw new SettingsError('--out-hostport needs a host, as in 127.0.0.1:25')
  const allowsOutside = settings.allowNetworks.some(network => !loopbackNetworks.hasAddress(network))
  if (!isLoopback(inHostport.host) && !allowsOutside && certfile === undefined) {
    throw new SettingsError(
      `listening on ${formatHostPort(inHostport)} no other machine could relay: ` +
        'name your generators with --allow-networks, or give --certfile and --privkeyfile so that they can authenticate',
    )
  }
  const sameHost = inHostport.host === outHostport.host || (isLoopback(inHostport.host) && isLoopback(outHostport.host))
  if (inHostport.port === outHostport.port && inHostport.port !== 0 && sameHost) {
    throw new SettingsError('--out-hostport is where the wrapper itself listens: name the MTA behind it')
  }
  const missing = missingFor(settings)
  if (missing !== undefined) throw new SettingsError(missing)
  try {
    loadKeys(settings)
    loadCertificate(settings)
  } catch (error) {
    throw new SettingsError((error as Error).message)
  }
}

/** Starts listening. */
export async function startWrapper(context: ProcessContext<typeof wrapperOptions>): Promise<Running> {
  const { settings, log, metrics, health } = context
  if (settings.verbose) log.level = 'debug'
  let keys = loadKeys(settings)
  const certificate = loadCertificate(settings)
  const conversationFile = await openDebugFile('downstream-debug', settings.downstreamDebug)
  const dataFile = await openDebugFile('upstream-data-debug', settings.upstreamDataDebug)
  await refuseLoop(settings.inHostport, settings.outHostport)
  if (settings.allowNetworks.some(({ bits }) => bits === 0)) {
    log.warn('--allow-networks lets everybody relay: whoever reaches this port can send mail through your MTA')
  }
  const redis = { redisUrl: settings.redisUrl, partitions: settings.partitions, log, health, metrics }
  const [records, ledger] = await Promise.all([
    RecordStore.open({ ...redis, prefix: 'wrapper' }),
    RedisCopyLedger.open(redis),
  ])
  let upstreamTrouble: string | undefined
  const ttlSeconds = Math.ceil(settings.recordTtl / 1000)
  const relayMetrics: RelayMetrics = new RelayMetrics(
    metrics,
    () => server.sessions,
    () => server.pool.size,
  )
  const server: RelayServer = new RelayServer({
    context: {
      limits: {
        ...defaultLimits,
        messageBytesMax: settings.maxMessageBytes,
        recipientsMax: settings.maxRecipients,
        connectionsMax: settings.maxConnections,
        connectionsPerAddressMax: settings.maxConnectionsPerAddress,
      },
      multiRecipient: settings.multiRecipient,
      rewriting: new TrackingRewriting(settings, () => keys, log, metrics),
      ledger,
      metrics: relayMetrics,
      accepted: ({ messageId, record }) => records.put('wrapper', messageId, record, ttlSeconds),
      upstreamData: dataFile && (pieces => dataFile.write(pieces)),
      collected: { bytes: 0 },
    },
    upstream: {
      ...settings.outHostport,
      tls: settings.outTls,
      insecure: settings.insecureSkipVerify,
      name: settings.name ?? hostname(),
    },
    upstreamHooks: {
      connected: trouble => {
        const upstream = formatHostPort(settings.outHostport)
        health.set('upstream', trouble && `no SMTP connection to ${upstream} (${trouble}): ${remedyFor(trouble)}`)
        if (trouble === upstreamTrouble) return
        if (trouble === undefined) log.info({ upstream }, 'the upstream is back')
        else log.warn({ upstream, reason: trouble }, 'no connection to the upstream')
        upstreamTrouble = trouble
      },
      lost: oncePerMinute(reason => log.warn({ reason }, 'a connection to the upstream was lost within a transaction')),
    },
    log,
    name: settings.name ?? hostname(),
    certificate,
    implicitTls: settings.inTls === 'implicit',
    allowNetworks: new NetworkList(settings.allowNetworks),
    strayLineEnds: settings.strayLineEnds,
    conversation:
      conversationFile && ((session, from, text) => conversationFile.write([`${session} ${from}: ${text}`])),
  })
  await listening(settings.inHostport, () =>
    server.open(settings.inHostport.host, settings.inHostport.port, settings.processes > 1),
  )
  // To know at once, and to tell, when the upstream is not there. Mail is taken as soon as it is.
  server.pool.capabilities().catch(() => undefined)
  context.onReload(() => {
    keys = loadKeys(settings)
    const renewed = loadCertificate(settings)
    if (renewed) server.useCertificate(renewed)
  })
  // Each by itself: what can't be had anew must not keep the others from it.
  for (const file of [conversationFile, dataFile]) if (file) context.onReload(() => file.reopen())
  const { host } = settings.inHostport
  log.info(
    {
      listening: formatHostPort({ host, port: settings.inHostport.port }),
      upstream: formatHostPort(settings.outHostport),
    },
    'ready',
  )
  const siblings = joinSiblings(context, settings.processes, settings.metricsHostport !== undefined)
  return {
    close: async () => {
      await Promise.all([server.stop(), siblings?.close()])
      await records.close()
      ledger.close()
      await conversationFile?.close()
      await dataFile?.close()
    },
  }
}

/** What is told again and again is told once a minute. */
function oncePerMinute(tell: (text: string) => void): (text: string) => void {
  let last = ''
  let again = 0
  return text => {
    const now = performance.now()
    if (text === last && now < again) return
    last = text
    again = now + 60_000
    tell(text)
  }
}

function remedyFor(trouble: string): string {
  return /certificate|TLS|SSL/i.test(trouble)
    ? 'give the MTA a certificate that is valid for this name, or see --out-tls and --insecure-skip-verify'
    : 'check the MTA and --out-hostport'
}

function loadKeys(settings: WrapperSettings): LinkKeys | undefined {
  try {
    return settings.linkKeys === undefined ? undefined : LinkKeys.load(settings.linkKeys)
  } catch (error) {
    throw new StartError((error as Error).message)
  }
}

function loadCertificate({ certfile, privkeyfile }: WrapperSettings): Certificate | undefined {
  if (certfile === undefined || privkeyfile === undefined) return undefined
  const certificate = { cert: readPem('certfile', certfile), key: readPem('privkeyfile', privkeyfile) }
  try {
    createSecureContext(certificate)
  } catch (error) {
    throw new StartError(`--certfile ${certfile} and --privkeyfile ${privkeyfile}: ${(error as Error).message}`)
  }
  return certificate
}

function readPem(option: string, file: string): string {
  try {
    const text = readNamedFile(file).toString('latin1')
    if (text.includes('-----BEGIN ')) return text
  } catch (error) {
    throw new StartError(`--${option} ${file} can't be read (${(error as NodeJS.ErrnoException).code})`)
  }
  throw new StartError(`--${option} ${file} is no PEM file`)
}

async function openDebugFile(option: string, file: string | undefined): Promise<DebugFile | undefined> {
  return file === undefined ? undefined : DebugFile.open(option, file)
}

/** A host name may lead back here as well. */
async function refuseLoop(listen: HostPort, upstream: HostPort): Promise<void> {
  if (listen.port !== upstream.port || listen.port === 0) return
  const addresses = async (host: string) => {
    const found = await lookup(host === '' ? '0.0.0.0' : host, { all: true }).catch(() => [])
    return found.map(({ address }) => address)
  }
  const ours = await addresses(listen.host)
  const theirs = await addresses(upstream.host)
  if (theirs.some(address => ours.includes(address))) {
    throw new StartError('--out-hostport is where the wrapper itself listens: name the MTA behind it')
  }
}
