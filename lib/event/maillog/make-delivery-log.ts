/** The state machine for the log that the settings name. One more mail server: one more line here. */
import { correlatorDefaults } from './correlator-options.ts'
import type { DeliveryLog, DeliveryLogHooks } from './delivery-log.ts'
import { PostfixLog } from './postfix-log.ts'
import { PowerMtaLog } from './powermta-log.ts'
import { TimeZone } from './time-zone.ts'

export interface DeliveryLogSettings {
  readonly mta: 'postfix' | 'powermta'
  readonly mapTtl: number
  readonly mapMaxEntries: number
  readonly deferredInterval: number
  readonly hopRelay: readonly string[] | undefined
  readonly logTimezone: TimeZone | undefined
}

export function makeDeliveryLog(settings: DeliveryLogSettings, hooks: DeliveryLogHooks): DeliveryLog {
  return settings.mta === 'powermta' ? new PowerMtaLog(hooks) : makePostfixLog(settings, hooks)
}

export function makePostfixLog(settings: DeliveryLogSettings, hooks: DeliveryLogHooks): PostfixLog {
  const options = {
    ...correlatorDefaults,
    ttlMs: settings.mapTtl,
    entriesMax: settings.mapMaxEntries,
    deferredIntervalMs: settings.deferredInterval,
    hopRelays: settings.hopRelay ?? [],
  }
  return new PostfixLog(options, settings.logTimezone ?? new TimeZone(), hooks)
}
