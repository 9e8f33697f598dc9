/** Every limit of the relay: named, with unit, default and what happens when it is passed. */
export interface RelayLimits {
  /** Client connections at a time. Passed: 421 4.3.2. */
  readonly connectionsMax: number
  /** Connections at a time from one address outside `allow-networks`. Passed: 421 4.7.0. */
  readonly connectionsPerAddressMax: number
  /** Message as received, in bytes. Passed: 552 5.3.4. Never above what the upstream announces. */
  readonly messageBytesMax: number
  /** Recipients of one transaction. Passed: 452 4.5.3. */
  readonly recipientsMax: number
  /** `Received` fields in the header. Passed: 554 5.4.6, for it is a loop. */
  readonly receivedFieldsMax: number
  /** Command line. Passed: 500 5.5.2 and the end of the connection. */
  readonly commandBytesMax: number
  /** AUTH itself and each line of its exchange (tokens are long). Passed: as above. */
  readonly authLineBytesMax: number
  /** Time without a command. Passed: 421 4.4.2. */
  readonly idleMs: number
  /** The same while `stressConnections` or more are open. */
  readonly stressIdleMs: number
  /** From the first to the last byte of a command line. Passed: 421 4.4.2. */
  readonly commandMs: number
  /** A TLS handshake. Passed: the connection is closed. */
  readonly handshakeMs: number
  /** From the closing of our side to that of the client's. Passed: the connection is closed. */
  readonly farewellMs: number
  /** Slowest delivery of a message; the first `dataGraceMs` don't count. Passed: 421 4.4.2. */
  readonly dataBytesPerSecondMin: number
  readonly dataGraceMs: number
  /** From DATA to the final dot. Passed: 421 4.4.2. */
  readonly messageMs: number
  /** Commands refused by the wrapper itself, without a message accepted in between. Passed: 421 4.7.0. */
  readonly errorsMax: number
  /** Commands that lead nowhere (NOOP, RSET) without a message accepted in between. Passed: 421 4.7.0. */
  readonly idleCommandsMax: number
  /** Failed AUTH attempts of a connection. Passed: 421 4.7.0. */
  readonly authFailuresMax: number
  /** Failed AUTH attempts of an address in ten minutes. Passed: 421 4.7.0. */
  readonly authFailuresPerAddressMax: number
  /** Wait before a failed AUTH is answered. */
  readonly authFailureDelayMs: number
  /** Until connected; and from then on until greeted and secured. Passed: 421 4.3.2 to EHLO, 451 4.4.1 to MAIL. */
  readonly upstreamConnectMs: number
  /** Reply to MAIL, RCPT, RSET and AUTH (RFC 5321 section 4.5.3.2). Passed: 451 4.4.2. */
  readonly upstreamReplyMs: number
  /** Reply to DATA. Passed: 451 4.4.2. */
  readonly upstreamDataMs: number
  /** Reply to the final dot. Shorter than the 600 s that clients wait, so that they get an answer. Passed: 451 4.4.2. */
  readonly upstreamFinalMs: number
  /** An unused upstream connection is closed after this. */
  readonly upstreamIdleMs: number
  /** An upstream connection is not used again after this. */
  readonly upstreamLifetimeMs: number
  /** A message up to this is collected and sent in one write; a larger one streams, see `MailTransaction`. */
  readonly collectBytesMax: number
  /** Messages being collected, all together. Passed: 452 4.3.1. */
  readonly collectedBytesMax: number
}

export const defaultLimits: RelayLimits = {
  connectionsMax: 200,
  connectionsPerAddressMax: 50,
  messageBytesMax: 25 * 2 ** 20,
  recipientsMax: 1000,
  receivedFieldsMax: 50,
  commandBytesMax: 2048,
  authLineBytesMax: 12 * 1024,
  idleMs: 300_000,
  stressIdleMs: 10_000,
  commandMs: 60_000,
  handshakeMs: 20_000,
  farewellMs: 5_000,
  dataBytesPerSecondMin: 500,
  dataGraceMs: 30_000,
  messageMs: 30 * 60_000,
  errorsMax: 20,
  idleCommandsMax: 100,
  authFailuresMax: 3,
  authFailuresPerAddressMax: 10,
  authFailureDelayMs: 1_000,
  upstreamConnectMs: 30_000,
  upstreamReplyMs: 300_000,
  upstreamDataMs: 120_000,
  upstreamFinalMs: 570_000,
  upstreamIdleMs: 30_000,
  upstreamLifetimeMs: 300_000,
  collectBytesMax: 2 * 2 ** 20,
  collectedBytesMax: 256 * 2 ** 20,
}
