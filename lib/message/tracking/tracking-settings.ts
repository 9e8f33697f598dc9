/** What the operator decided for all messages, and what follows from it for one. */
import type { LinkKeys } from '../../link/keys.ts'
import { linkUrl } from '../../link/link-url.ts'
import { signToken } from '../../link/token.ts'
import type { LinkRequest, ListUnsubscribe, TrackingPlan, TrackingSwitches } from './tracking-plan.ts'

/** Named as the options of the wrapper are. */
export interface TrackingSettings extends TrackingSwitches {
  /** Without slashes at its end; undefined only where nothing leads to the tracker. */
  readonly trackingUrl: string | undefined
  readonly dkimSigned: 'pass' | 'wrap'
  readonly honeypotLink: boolean
  readonly listUnsubscribe: 'off' | 'mailto' | 'https' | 'both'
  readonly listUnsubscribeMailto: string | undefined
}

/** Makes the link to put into a message. */
export type LinkMaker = (messageId: string, link: LinkRequest) => string

/** Links signed with the signing key. */
export function signedLinks(trackingUrl: string, keys: LinkKeys): LinkMaker {
  return (messageId, link) => linkUrl(trackingUrl, signToken({ ...link, messageId }, keys))
}

/** The plan for one message. @param makeLink undefined where no link can be asked for */
export function planFor(
  settings: TrackingSettings,
  { messageId, uuid }: { readonly messageId: string; readonly uuid: string },
  makeLink: LinkMaker | undefined,
): TrackingPlan {
  const { trackOpen, trackInitialOpen, trackClick, trackText, dkimSigned, honeypotLink } = settings
  const listUnsubscribe = listUnsubscribeOf(settings)
  return {
    trackOpen,
    trackInitialOpen,
    trackClick,
    trackText,
    dkimSigned,
    honeypotLink,
    trackingUrl: settings.trackingUrl ?? '',
    messageId,
    uuid,
    linkFor: link => {
      if (makeLink === undefined) throw new Error('no link keys')
      return makeLink(messageId, link)
    },
    ...(listUnsubscribe && { listUnsubscribe }),
  }
}

function listUnsubscribeOf({
  listUnsubscribe,
  listUnsubscribeMailto: mailto,
}: TrackingSettings): ListUnsubscribe | undefined {
  if (listUnsubscribe === 'off') return undefined
  const https = listUnsubscribe !== 'mailto'
  return { https, ...(listUnsubscribe !== 'https' && mailto !== undefined && { mailto }) }
}

/** What is missing for these settings to make sense, as a sentence for the operator. */
export function missingFor(settings: TrackingSettings & { readonly linkKeys: string | undefined }): string | undefined {
  const { listUnsubscribe } = settings
  if ((listUnsubscribe === 'mailto' || listUnsubscribe === 'both') && settings.listUnsubscribeMailto === undefined)
    return `--list-unsubscribe ${listUnsubscribe} needs --list-unsubscribe-mailto ADDRESS`
  if (!leadsToTracker(settings)) return undefined
  if (settings.trackingUrl === undefined)
    return '--tracking-url URL is required: the public address of the tracker, the beginning of every link'
  if (settings.linkKeys === undefined)
    return '--link-keys FILE is required: make one with node cmd/linktool.ts keys new --link-keys FILE'
  return undefined
}

/** Whether anything in a message will lead to the tracker. */
function leadsToTracker({
  trackOpen,
  trackInitialOpen,
  trackClick,
  trackText,
  listUnsubscribe,
}: TrackingSettings): boolean {
  const inHeader = listUnsubscribe === 'https' || listUnsubscribe === 'both'
  return trackOpen || trackInitialOpen || trackClick || trackText || inHeader
}
