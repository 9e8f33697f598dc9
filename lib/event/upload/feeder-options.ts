/** The settings of the feeder. */
import { bytes, duration, flag, integer, oneOf, option, path, text, type Settings, wait } from '../../process/option.ts'
import { SettingsError, type WithCommon } from '../../process/settings.ts'
import { Credential } from './credential.ts'
import { endpoint } from './endpoint.ts'
import type { EventDestination } from './event-destination.ts'
import { sparkpost, sparkpostEndpointDefault } from './sparkpost.ts'
import { webhook } from './webhook.ts'

export const feederOptions = {
  destination: option(oneOf('sparkpost', 'webhook'), {
    help: 'Where events go: SparkPost Events Ingest, or any URL of your own.',
    default: 'sparkpost',
  }),
  endpoint: option(endpoint, {
    help: `Address of the destination; sparkpost: ${sparkpostEndpointDefault} unless set. http:// for this machine only.`,
    env: 'SPARKPOST_HOST_INGEST',
    // The path of a webhook may be its secret, and what is refused may hold a password.
    secret: true,
  }),
  'api-key': option(text, {
    help: 'Key of the sparkpost destination. Better given by the environment, or as --api-key-file.',
    env: 'SPARKPOST_API_KEY_INGEST',
    secret: true,
  }),
  'api-key-file': option(path, {
    help: 'File with the key, alone or as SPARKPOST_API_KEY_INGEST=…; read anew when the key is refused and on SIGHUP.',
  }),
  'batch-bytes': option(bytes, {
    help: 'Size of a request before compression at which it is sent; the service takes 5 MB.',
    default: '4.9MB',
  }),
  'batch-age': option(wait, { help: 'Time after which a request is sent, however small.', default: '30s' }),
  'record-wait': option(wait, {
    help: 'How long after it happened an event waits for the record of its message, then goes without.',
    default: '60s',
  }),
  'event-age-max': option(duration, {
    help: 'Age above which an event is put to the dead letters. Default: what the destination takes (sparkpost: 24h less a minute).',
  }),
  uploads: option(integer(1, 64), { help: 'Requests under way at once.', default: '4' }),
  'request-timeout': option(wait, { help: 'Longest time for a request and its answer.', default: '30s' }),
  verify: option(flag, {
    help: 'Ask the service what became of each batch before it counts as uploaded; send again what it lost.',
    default: 'false',
  }),
  recipient: option(oneOf('full', 'hash', 'none'), {
    help: 'How recipients are passed on: address, hash of the address and domain, or not at all.',
    default: 'full',
  }),
  verdicts: option(flag, {
    help: 'Pass on who probably made a request: is_prefetched, is_proxy, is_bot, bot_reason.',
    default: 'true',
  }),
  'webhook-format': option(oneOf('ndjson', 'json'), {
    help: 'Body of webhook requests: gzipped NDJSON, or a JSON array.',
    default: 'ndjson',
  }),
  'webhook-secret': option(text, {
    help: 'Secret that signs webhook requests. Better given by the environment, or as --webhook-secret-file.',
    secret: true,
  }),
  'webhook-secret-file': option(path, { help: 'File with that secret, read anew like the key.' }),
  'dead-letter-dir': option(path, {
    help: 'Folder for events that can not be sent, with the reason.',
    default: 'var/dead-letters',
  }),
  'dead-letter-max-bytes': option(bytes, {
    help: 'Most that the folder may hold. When it is full, events that can not be sent stay in the queue.',
    default: '100MB',
  }),
  lease: option(wait, {
    help: 'Time after which the events of a feeder that gives no sign of life are taken over by another.',
    default: '90s',
  }),
  consumer: option(text, {
    help: 'Name of this feeder, one of a kind in the queue. Default: of host, dead letter folder and place among its feeders.',
  }),
  replay: option(path, { help: 'Send the events of this dead letter file, then end. The queue is left alone.' }),
}

export type FeederSettings = Settings<WithCommon<typeof feederOptions>>

const batchBytesMax = 5_000_000
const batchBytesMin = 1_000
const requestTimeoutMsMin = 100
const eventAgeMsMin = 60_000

/** @throws {SettingsError} */
export function validateFeeder(settings: FeederSettings): void {
  if (settings.batchBytes > batchBytesMax || settings.batchBytes < batchBytesMin) {
    throw new SettingsError('--batch-bytes: expected 1kB to 5MB, the most that the service takes')
  }
  if (settings.requestTimeout < requestTimeoutMsMin) {
    throw new SettingsError('--request-timeout: expected 100ms or more, else no answer is waited for')
  }
  if (settings.eventAgeMax !== undefined && settings.eventAgeMax < eventAgeMsMin) {
    throw new SettingsError('--event-age-max: expected 1m or more, else every event goes to the dead letters')
  }
  if (settings.lease < 2 * settings.requestTimeout) {
    throw new SettingsError(
      '--lease: expected at least twice --request-timeout, else events are taken over while under way',
    )
  }
  destinationOf(settings)
}

/**
 * The destination that the settings name, its key read.
 * @throws {SettingsError}
 */
export function destinationOf(settings: FeederSettings): EventDestination {
  const form = { recipient: settings.recipient, verdicts: settings.verdicts }
  try {
    if (settings.destination === 'sparkpost') {
      const key = new Credential(settings.apiKeyFile, 'SPARKPOST_API_KEY_INGEST', settings.apiKey)
      if (settings.endpoint?.includes('?'))
        throw new Error('--endpoint: expected a URL without ? for the sparkpost destination, which adds a path to it')
      return sparkpost(settings.endpoint ?? sparkpostEndpointDefault, key, form)
    }
    if (settings.endpoint === undefined) throw new Error('--endpoint is required for the webhook destination')
    const { webhookSecret, webhookSecretFile } = settings
    const secret =
      webhookSecret === undefined && webhookSecretFile === undefined
        ? undefined
        : new Credential(webhookSecretFile, 'FEEDER_WEBHOOK_SECRET', webhookSecret)
    return webhook(settings.endpoint, secret, settings.webhookFormat, form)
  } catch (error) {
    throw new SettingsError((error as Error).message)
  }
}
