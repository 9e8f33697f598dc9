/** The wrapper's settings of what is done to a message, as linktool takes them. */
import { LinkKeys } from '../link/keys.ts'
import { missingFor } from '../message/tracking/tracking-settings.ts'
import { flag, oneOf, option, text, trackingUrl, type OptionTable, type Settings } from '../process/option.ts'
import { StartError } from '../process/start-error.ts'
import { SettingsError, type WithCommon } from '../process/settings.ts'

// The same names, defaults and environment as the wrapper's, so that a file comes out as the message would.
export const trackingOptions = {
  'track-open': option(flag, {
    help: 'Add a pixel at the end of the message.',
    default: 'true',
    env: 'WRAPPER_TRACK_OPEN',
  }),
  'track-initial-open': option(flag, {
    help: 'Add a pixel at the beginning of the message.',
    default: 'false',
    env: 'WRAPPER_TRACK_INITIAL_OPEN',
  }),
  'track-click': option(flag, { help: 'Wrap links.', default: 'true', env: 'WRAPPER_TRACK_CLICK' }),
  'track-text': option(flag, { help: 'Wrap links in plain text too.', default: 'false', env: 'WRAPPER_TRACK_TEXT' }),
  'honeypot-link': option(flag, {
    help: 'Put a link that no human sees into HTML with wrapped links: who follows it is a machine.',
    default: 'false',
    env: 'WRAPPER_HONEYPOT_LINK',
  }),
  'dkim-signed': option(oneOf('pass', 'wrap'), {
    help: 'A message that carries a DKIM signature: leave it untracked, or wrap it (which breaks the signature).',
    default: 'pass',
    env: 'WRAPPER_DKIM_SIGNED',
  }),
  'list-unsubscribe': option(oneOf('off', 'mailto', 'https', 'both'), {
    help: 'Stamp List-Unsubscribe fields where the generator set none.',
    default: 'off',
    env: 'WRAPPER_LIST_UNSUBSCRIBE',
  }),
  'list-unsubscribe-mailto': option(text, {
    help: 'Address that takes unsubscribe requests by mail.',
    env: 'WRAPPER_LIST_UNSUBSCRIBE_MAILTO',
  }),
  'tracking-url': option(trackingUrl, {
    help: 'Public address of the tracker, the beginning of every link.',
    env: 'TRACKING_URL',
  }),
} satisfies OptionTable

export type GivenSettings = Settings<WithCommon<typeof trackingOptions>>

/** @throws {SettingsError} for settings that don't go together */
export function validateTracking(settings: GivenSettings): void {
  const missing = missingFor(settings)
  if (missing !== undefined) throw new SettingsError(missing)
}

/**
 * The keys, when a file of them was named.
 * @throws {StartError}
 */
export function loadKeys(file: string | undefined): LinkKeys | undefined {
  try {
    return file === undefined ? undefined : LinkKeys.load(file)
  } catch (error) {
    throw new StartError((error as Error).message)
  }
}
