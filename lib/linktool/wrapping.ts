/** Wraps whole messages with the wrapper's own code. */
import { randomUUID } from 'node:crypto'
import type { LinkKeys } from '../link/keys.ts'
import { linkUrl } from '../link/link-url.ts'
import { signToken } from '../link/token.ts'
import { newMessageId } from '../record/message-id.ts'
import { messageIdentity } from '../message/tracking/stamp.ts'
import type { LinkRequest, TrackingPlan } from '../message/tracking/tracking-plan.ts'
import { MessageWrapper } from '../message/tracking/wrap-message.ts'
import type { WrapReport } from '../message/tracking/wrap-report.ts'
import type { TrackingSettings } from './tracking-options.ts'

export interface Wrapped {
  /** What the wrapper would send upstream, in pieces. */
  readonly pieces: readonly Buffer[]
  readonly report: WrapReport
}

/** Makes the link to put into a message. */
export type LinkMaker = (messageId: string, link: LinkRequest) => string

/** Links signed with the signing key. */
export function signedLinks(trackingUrl: string, keys: LinkKeys): LinkMaker {
  return (messageId, link) => linkUrl(trackingUrl, signToken({ ...link, messageId }, keys))
}

/** @param message with CRLF line ends; its id and UUID are made now unless it has them */
export function wrapMessage(message: Buffer, settings: TrackingSettings, makeLink: LinkMaker | undefined): Wrapped {
  const wrapper = new MessageWrapper(header => {
    const identity = messageIdentity(header)
    const messageId = identity.messageId ?? newMessageId(Date.now())
    return planFor(settings, messageId, identity.uuid ?? randomUUID(), makeLink)
  })
  const pieces = [...wrapper.write(message), ...wrapper.end()]
  return { pieces, report: wrapper.report }
}

function planFor(
  settings: TrackingSettings,
  messageId: string,
  uuid: string,
  makeLink: LinkMaker | undefined,
): TrackingPlan {
  const { trackOpen, trackInitialOpen, trackClick, trackText, dkimSigned, honeypotLink, listUnsubscribe } = settings
  const mailto = listUnsubscribe === 'https' ? undefined : settings.listUnsubscribeMailto
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
    ...(listUnsubscribe !== 'off' && {
      listUnsubscribe: { https: listUnsubscribe !== 'mailto', ...(mailto !== undefined && { mailto }) },
    }),
  }
}

/** As the wrapper takes a message in: a bare LF becomes CRLF, a bare CR a space. */
export function withLineEnds(message: Buffer): Buffer {
  if (!/\r(?!\n)|(?<!\r)\n/.test(message.toString('latin1'))) return message
  const text = message
    .toString('latin1')
    .replaceAll(/\r\n|\n/g, '\n')
    .replaceAll('\r', ' ')
    .replaceAll('\n', '\r\n')
  return Buffer.from(text, 'latin1')
}
