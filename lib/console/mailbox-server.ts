/** The catch-all mailbox: an SMTP server that accepts every message, stores it and sends nothing. */
import type { Socket } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import type { HostPort } from '../process/option.ts'
import type { Archive } from './archive.ts'
import { readDataExactly } from './exact-data.ts'
import { subjectOf } from './subject.ts'

export interface MailboxLimits {
  readonly messageBytesMax: number
  readonly connectionsMax: number
  readonly recipientsMax: number
  /** A connection that is silent for this long is closed. */
  readonly idleMs: number
}

export const mailboxLimits: Omit<MailboxLimits, 'messageBytesMax'> = {
  connectionsMax: 200,
  recipientsMax: 1_000,
  idleMs: 300_000,
}

export interface MailboxHooks {
  /** A mail is durable. */
  onMail: (bytes: number) => void
  /** A mail could not be kept; the client was told to come again. */
  onRefused: (reason: 'size' | 'store' | 'incomplete', error?: Error) => void
}

export interface MailboxServer {
  close: () => Promise<void>
}

/** Pieces in which a message is written. */
const pieceBytes = 256 * 1024

/** How long a client may take to finish its message once we are stopping; it will deliver it again. */
const closeMs = 1_500

/** @throws Error with `code` EADDRINUSE and the like when it can't listen */
export async function serveMailbox(
  at: HostPort,
  archive: Archive,
  limits: MailboxLimits,
  hooks: MailboxHooks,
): Promise<MailboxServer> {
  const recipients = new WeakMap<object, string[]>()
  const server = new PromptServer({
    name: 'console.localhost',
    banner: 'catch-all mailbox',
    logger: false,
    size: limits.messageBytesMax,
    rejectOversized: true,
    maxClients: limits.connectionsMax,
    maxRecipients: limits.recipientsMax,
    socketTimeout: limits.idleMs,
    closeTimeout: closeMs,
    disableReverseLookup: true,
    lenientAddressParsing: true,
    hideDSN: false,
    hideENHANCEDSTATUSCODES: false,
    // There is no certificate that a client could trust; on loopback there is nothing to hide either.
    disabledCommands: ['STARTTLS', 'WIZ', 'SHELL', 'KILL', 'XCLIENT', 'XFORWARD'],
    // Generators that insist on a password may use any; it is neither checked nor kept.
    authOptional: true,
    allowInsecureAuth: true,
    onAuth: (_, __, callback) => callback(null, { user: 'anyone' }),
    onMailFrom: (_, session, callback) => {
      recipients.set(session.envelope, [])
      callback()
    },
    onRcptTo: (address, session, callback) => {
      recipients.get(session.envelope)?.push(address.address)
      callback()
    },
    onData: (stream, session, callback) => {
      const { mailFrom } = session.envelope
      const envelope = { from: mailFrom ? mailFrom.address : '', to: recipients.get(session.envelope) ?? [] }
      const answer = async () => {
        try {
          const outcome = await receive(stream, archive, envelope, limits.messageBytesMax)
          if ('refused' in outcome) hooks.onRefused(outcome.refused)
          else hooks.onMail(outcome.bytes)
          callback(null, 'refused' in outcome ? undefined : `caught as ${outcome.id}`)
        } catch (error) {
          hooks.onRefused(stream.readableEnded ? 'store' : 'incomplete', error as Error)
          stream.resume()
          callback(Object.assign(new Error('the message could not be stored, try again later'), { responseCode: 452 }))
        }
      }
      void answer()
    },
  })
  // A client that goes away in the middle is its own affair.
  server.on('error', () => undefined)
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', reject)
    server.listen(at.port, at.host || '::', () => {
      server.server.off('error', reject)
      resolve()
    })
  })
  let closing: Promise<void> | undefined
  return {
    close: () =>
      (closing ??= new Promise(resolve => {
        server.close(resolve)
        for (const connection of server.connections) {
          if (connection._dataStream) continue
          connection.send(421, 'Service closing')
          connection.close()
        }
      })),
  }
}

type Outcome = { readonly id: string; readonly bytes: number } | { readonly refused: 'size' }

/** Stores a message as it comes in. When it resolves with an id the message is durable. */
async function receive(
  stream: AsyncIterable<Buffer>,
  archive: Archive,
  envelope: { readonly from: string; readonly to: readonly string[] },
  bytesMax: number,
): Promise<Outcome> {
  const id = await archive.call('beginMail')
  let held: Buffer[] = []
  let heldBytes = 0
  let bytes = 0
  let pieces = 0
  let subject: string | undefined
  try {
    for await (const chunk of stream) {
      bytes += chunk.length
      // Past the limit the rest is read, for the client listens only at its end, and forgotten.
      if (bytes > bytesMax) {
        held = []
        continue
      }
      held.push(chunk)
      heldBytes += chunk.length
      if (heldBytes < pieceBytes) continue
      const piece = Buffer.concat(held)
      subject ??= subjectOf(piece)
      held = []
      heldBytes = 0
      // Waited for: a fast sender can't make us hold more than this.
      await archive.call('appendMail', id, pieces++, piece)
    }
    if (bytes > bytesMax) {
      if (pieces > 0) await archive.call('abandonMail', id)
      return { refused: 'size' }
    }
    const last = Buffer.concat(held)
    await archive.call('finishMail', id, pieces, last, { ...envelope, subject: subject ?? subjectOf(last), bytes })
    return { id, bytes }
  } catch (error) {
    if (pieces > 0) await archive.call('abandonMail', id).catch(() => undefined)
    throw error
  }
}

/** smtp-server waits 100 ms before it greets, which would be most of the time that a short session takes. */
class PromptConnection extends SMTPConnection {
  override init(): void {
    if (this._parser) readDataExactly(this._parser)
    this._setListeners(() => {
      if (this._server.connections.size > (this._server.options.maxClients ?? Number.POSITIVE_INFINITY)) {
        this.send(421, `${this.name} Too many connections, try again later`, false)
        return
      }
      this.connectionReady()
    })
  }
}

class PromptServer extends SMTPServer {
  override connect(socket: Socket, options?: SMTPConnectionOptions | null): void {
    const connection = new PromptConnection(this, socket, options ?? null)
    this.connections.add(connection)
    connection.on('error', (error: Error) => this._onError(error))
    connection.on('connect', data => this._onClientConnect(data as never))
    connection.init()
  }
}
