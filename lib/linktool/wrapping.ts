/** Wraps whole messages with the wrapper's own code. */
import { randomUUID } from 'node:crypto'
import { newMessageId } from '../record/message-id.ts'
import { messageIdentity } from '../message/tracking/stamp.ts'
import { planFor, type LinkMaker, type TrackingSettings } from '../message/tracking/tracking-settings.ts'
import { MessageWrapper } from '../message/tracking/wrap-message.ts'
import type { WrapReport } from '../message/tracking/wrap-report.ts'

export interface Wrapped {
  /** What the wrapper would send upstream, in pieces. */
  readonly pieces: readonly Buffer[]
  readonly report: WrapReport
}

/** @param message with CRLF line ends; its id and UUID are made now unless it has them */
export function wrapMessage(message: Buffer, settings: TrackingSettings, makeLink: LinkMaker | undefined): Wrapped {
  const wrapper = new MessageWrapper(header => {
    const identity = messageIdentity(header)
    const messageId = identity.messageId ?? newMessageId(Date.now())
    return planFor(settings, { messageId, uuid: identity.uuid ?? randomUUID() }, makeLink)
  })
  const pieces = [...wrapper.write(message), ...wrapper.end()]
  return { pieces, report: wrapper.report }
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
