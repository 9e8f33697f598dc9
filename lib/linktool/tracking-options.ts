/** The wrapper's settings of what is done to a message, as linktool takes them. */
import { LinkKeys } from '../link/keys.ts'
import { readTrackingUrl } from '../link/link-url.ts'
import { flag, oneOf, option, text, type Kind, type OptionTable, type Settings } from '../process/option.ts'
import { StartError } from '../process/start-error.ts'
import { SettingsError, type WithCommon } from '../process/settings.ts'

/** A tracking URL without slashes at its end. */
export const trackingUrlKind: Kind<string> = { placeholder: 'URL', read: readTrackingUrl }

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
  'tracking-url': option(trackingUrlKind, {
    help: 'Public address of the tracker, the beginning of every link.',
    env: 'TRACKING_URL',
  }),
} satisfies OptionTable

export type TrackingSettings = Settings<WithCommon<typeof trackingOptions>>

/** Whether anything in a message will lead to the tracker. */
function needsLinks(settings: TrackingSettings): boolean {
  const { trackOpen, trackInitialOpen, trackClick, trackText, listUnsubscribe } = settings
  const inHeader = listUnsubscribe === 'https' || listUnsubscribe === 'both'
  return trackOpen || trackInitialOpen || trackClick || trackText || inHeader
}

/** @throws {SettingsError} for settings that don't go together */
export function validateTracking(settings: TrackingSettings): void {
  const { listUnsubscribe } = settings
  if ((listUnsubscribe === 'mailto' || listUnsubscribe === 'both') && settings.listUnsubscribeMailto === undefined)
    throw new SettingsError(`--list-unsubscribe ${listUnsubscribe} needs --list-unsubscribe-mailto ADDRESS`)
  if (needsLinks(settings) && settings.trackingUrl === undefined)
    throw new SettingsError('--tracking-url URL is required: the public address of the tracker')
  if (needsLinks(settings) && settings.linkKeys === undefined)
    throw new SettingsError('--link-keys FILE is required: make one with linktool keys new --link-keys FILE')
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
