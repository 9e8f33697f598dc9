/** Sends each recipient of a message a copy of its own, in transactions of their own. */
import type { MessageCopies } from './accepted-copies.ts'
import { Delivery } from './delivery.ts'
import { troubleReply, type RelayContext } from './relay-context.ts'
import { isPositive, localReply, type Reply } from './reply.ts'
import { answersData, type UpstreamConnection, UpstreamLost } from './upstream-connection.ts'

export interface CopiesToSend {
  /** MAIL as the upstream has accepted it. */
  readonly mailLine: string
  /** Accepted recipients and the RCPT command of each. */
  readonly recipients: ReadonlyMap<string, string>
  readonly reversePath: string
  /** The message. */
  readonly pieces: readonly Buffer[]
  /** Whether somebody still waits for the reply. */
  readonly isWanted: () => boolean
}

export interface CopiesOutcome {
  /** For the client. */
  readonly reply: Reply
  /** All recipients are served. */
  readonly complete: boolean
}

/**
 * What the client is told: the upstream's reply when all copies were accepted or none was (a temporary one where there
 * is one); 451 when only some were, so that it sends again, which then serves the others only. The order of the
 * recipients makes no difference.
 */
export async function sendCopies(
  context: RelayContext,
  connection: UpstreamConnection,
  copies: MessageCopies,
  message: CopiesToSend,
): Promise<CopiesOutcome> {
  const { recipients } = message
  // Its answer follows in the same connection, so the announcement is made when it is there.
  copies.begin()
  const before = await copies.accepted([...recipients.keys()])
  let accepted = before.size
  let last: Reply | undefined
  const failures: Reply[] = []
  for (const [recipient, rcptLine] of recipients) {
    if (before.has(recipient)) continue
    const { reply, concernsAll } = message.isWanted()
      ? await sendCopy(context, connection, message, recipient, rcptLine)
      : { reply: troubleReply(new UpstreamLost('the client is gone')), concernsAll: true }
    if (isPositive(reply)) {
      accepted++
      last = reply
      copies.accept(recipient)
      continue
    }
    failures.push(reply)
    if (concernsAll) break
  }
  if (failures.length === 0) {
    return { reply: last ?? localReply(250, '2.0.0', 'Ok: all copies accepted before'), complete: true }
  }
  // Permanent is only what is permanent for every recipient.
  const failure = failures.find(reply => reply.code < 500) ?? failures[0]
  if (accepted === 0 && failure) {
    copies.complete()
    return { reply: failure, complete: false }
  }
  copies.keep()
  return {
    reply: localReply(451, '4.5.0', 'Not every recipient was accepted, send again for the rest'),
    complete: false,
  }
}

interface CopyOutcome {
  readonly reply: Reply
  /** No other recipient can be served either: the sender is refused, or the connection is over. */
  readonly concernsAll: boolean
}

async function sendCopy(
  context: RelayContext,
  connection: UpstreamConnection,
  { mailLine, reversePath, pieces }: CopiesToSend,
  recipient: string,
  rcptLine: string,
): Promise<CopyOutcome> {
  const { limits, metrics } = context
  const { upstreamReplyMs, upstreamDataMs } = limits
  try {
    connection.transactions++
    const [mail, rcpt] = await Promise.all([
      connection.command(mailLine, upstreamReplyMs),
      connection.command(rcptLine, upstreamReplyMs),
    ])
    metrics.upstreamReply('MAIL', mail.code)
    metrics.upstreamReply('RCPT', rcpt.code)
    const concernsAll = !isPositive(mail)
    const refused = [mail, rcpt].find(reply => !isPositive(reply))
    const reply = refused ?? (await connection.command('DATA', upstreamDataMs, answersData))
    if (!refused) metrics.upstreamReply('DATA', reply.code)
    if (reply.code === 354) {
      const delivery = new Delivery(context, connection, { recipient, reversePath })
      return { reply: await delivery.sendWhole(pieces), concernsAll: !connection.alive }
    }
    const reset = await connection.command('RSET', upstreamReplyMs)
    // Else the next MAIL, of whomever, would come within this transaction.
    if (!isPositive(reset)) connection.destroy()
    return { reply, concernsAll: concernsAll || !connection.alive }
  } catch (error) {
    return { reply: troubleReply(error), concernsAll: true }
  }
}
