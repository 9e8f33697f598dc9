/** What became of a message at one recipient, as the agent reports it. */

/** The words of the ingestion API. */
export type OutcomeType = 'delivered' | 'bounced' | 'deferred' | 'soft_bounced'

/** Its texts may be views of the chunk of the log that they were read with: whoever keeps one for long copies it. */
export interface Outcome {
  /** `X-Sendpost-Message-UUID` of the message, lower case. */
  readonly uuid: string
  readonly type: OutcomeType
  /** Unix time in microseconds, from the log line. NaN when the line bears none. */
  readonly at: number
  /** Whom the message was submitted for: the address before aliases, where the log tells it. */
  readonly recipient: string
  /** What the remote server answered; undefined when none spoke. */
  readonly code: number | undefined
  /** The text that goes with the status, as logged. */
  readonly description: string
  /** Where it was read. */
  readonly log: OutcomeSource
}

/** An outcome whose message may not have a UUID yet. */
export type PendingOutcome = Omit<Outcome, 'uuid'>

export interface OutcomeSource {
  readonly queueId: string
  readonly to: string
  readonly origTo: string | undefined
  readonly relay: string
  /** RFC 3463, `5.1.1`. */
  readonly dsn: string
  /** The word in the log: `sent`, `bounced`, `deferred`, `SOFTBOUNCE`, `expired`, `force-expired`. */
  readonly status: string
}

/** What tells the line of one result from that of another which says the same of the same recipient. */
export function originOf({ recipient, log }: Pick<Outcome, 'recipient' | 'log'>): string {
  return log.to === recipient ? log.queueId : `${log.queueId} ${log.to}`
}
