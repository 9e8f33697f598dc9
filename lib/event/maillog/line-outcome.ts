/** What a status line says became of a message. */
import { keptDescription } from './kept-description.ts'
import { lineText, ownCopy } from './line-text.ts'
import type { LogLine } from './log-line.ts'
import type { OutcomeType, PendingOutcome } from './outcome.ts'
import { smtpReplyCode } from './smtp-reply.ts'
import type { StatusLine } from './status-line.ts'

const statuses: readonly { readonly word: string; readonly type: OutcomeType | 'probe' }[] = [
  { word: 'sent', type: 'delivered' },
  { word: 'deferred', type: 'deferred' },
  { word: 'bounced', type: 'bounced' },
  { word: 'SOFTBOUNCE', type: 'soft_bounced' },
  { word: 'deliverable', type: 'probe' },
  { word: 'undeliverable', type: 'probe' },
  { word: 'undeliverable-but-not-cached', type: 'probe' },
]

/** What the word after `status=` means; undefined for one that is not known. */
export function statusOf(line: string, from: number, to: number): (typeof statuses)[number] | undefined {
  for (const status of statuses)
    if (status.word.length === to - from && line.startsWith(status.word, from)) return status
  return undefined
}

/**
 * @param at where the queue id's colon and blank end
 * @returns texts that may be views of the line
 */
export function outcomeOf(
  { line, at: micros, from }: LogLine,
  found: StatusLine,
  at: number,
  status: string,
  type: OutcomeType,
): PendingOutcome {
  const to = lineText(line, found.toFrom, found.toEnd)
  const origTo = found.origToFrom === -1 ? undefined : lineText(line, found.origToFrom, found.origToEnd)
  const relay = lineText(line, found.relayFrom, found.relayEnd)
  const description = keptDescription(line, found.textFrom, found.textEnd)
  return {
    type,
    at: micros,
    recipient: origTo ?? to,
    code: smtpReplyCode(description, type === 'delivered'),
    description,
    log: { queueId: line.slice(from, at - 2), to, origTo, relay, dsn: dsnOf(line, found, type), status },
  }
}

/** Before Postfix 2.3 there is none: then what its class is, and no more. */
function dsnOf(line: string, { dsnFrom, dsnEnd }: StatusLine, type: OutcomeType): string {
  if (dsnFrom !== -1) return line.slice(dsnFrom, dsnEnd)
  return type === 'delivered' ? '2.0.0' : type === 'bounced' ? '5.0.0' : '4.0.0'
}

/** The same with texts that are no views of the log, to be kept. */
export function copyOf(outcome: PendingOutcome): PendingOutcome {
  const { queueId, to, origTo, relay, dsn } = outcome.log
  return {
    ...outcome,
    recipient: ownCopy(outcome.recipient),
    description: ownCopy(outcome.description),
    log: {
      ...outcome.log,
      queueId: ownCopy(queueId),
      to: ownCopy(to),
      origTo: origTo === undefined ? undefined : ownCopy(origTo),
      relay: ownCopy(relay),
      dsn: ownCopy(dsn),
    },
  }
}
