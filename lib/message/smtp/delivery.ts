/**
 * A message on its way to the upstream, from the 354 to the final reply. It is rewritten as it goes; after its final dot
 * nothing is done but waiting for the reply, for whoever dies between the two leaves a duplicate behind (RFC 1047).
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DotStuffer } from './dot-stuffing.ts'
import { bytesOf } from './piece-list.ts'
import { troubleReply, type RelayContext } from './relay-context.ts'
import { isPositive, type Reply } from './reply.ts'
import type { Copy, Rewriter } from './rewriting.ts'
import { type UpstreamConnection, UpstreamLost } from './upstream-connection.ts'

/** How long a message may be rewritten at a stretch. */
const turnMsMax = 10

interface Rewritten {
  readonly pieces: readonly Buffer[]
  readonly bytes: number
  readonly rewriter: Rewriter
}

export class Delivery {
  readonly #context: RelayContext
  readonly #connection: UpstreamConnection
  readonly #copy: Copy
  readonly #stuffer = new DotStuffer()
  readonly #reply: Promise<Reply | Error>
  #rewriter: Rewriter | undefined
  /** The upstream spoke before it had the message. */
  #answeredEarly = false

  /** @param connection has just said 354 */
  constructor(context: RelayContext, connection: UpstreamConnection, copy: Copy) {
    this.#context = context
    this.#connection = connection
    this.#copy = copy
    this.#reply = connection.finalReply().then(
      reply => {
        this.#answeredEarly = true
        return reply
      },
      (error: Error) => error,
    )
  }

  /**
   * Begins a message that goes on while it comes.
   * @param stampOnly tracking could make it larger than the upstream takes
   */
  stream(stampOnly: boolean): void {
    this.#rewriter = this.#context.rewriting.begin({ ...this.#copy, stampOnly })
  }

  /** Sends pieces of such a message. A promise asks to wait. */
  write(pieces: readonly Buffer[]): void | Promise<void> {
    this.#rewriter ??= this.#context.rewriting.begin(this.#copy)
    const out: Buffer[] = []
    for (const piece of pieces) this.#stuff(this.#rewriter.write(piece), out)
    return this.#send(out) ? undefined : this.#connection.drained()
  }

  /** Ends a message whose pieces were written, and waits for the reply. */
  async end(): Promise<Reply> {
    this.#rewriter ??= this.#context.rewriting.begin(this.#copy)
    const out: Buffer[] = []
    this.#stuff(this.#rewriter.end(), out)
    out.push(this.#stuffer.end())
    return this.#conclude(out, this.#rewriter)
  }

  /** Sends a collected message with its final dot at once, and waits for the reply. */
  async sendWhole(pieces: readonly Buffer[]): Promise<Reply> {
    let rewritten = await this.#rewrite(pieces, this.#copy)
    const { size } = this.#connection.capabilities
    // What the upstream takes unwrapped must not be refused for what wrapping has added.
    if (size && rewritten.bytes > size && bytesOf(pieces) <= size) {
      rewritten = await this.#rewrite(pieces, { ...this.#copy, stampOnly: true })
    }
    const out: Buffer[] = []
    this.#stuff(rewritten.pieces, out)
    out.push(this.#stuffer.end())
    return this.#conclude(out, rewritten.rewriter)
  }

  async #rewrite(pieces: readonly Buffer[], copy: Copy): Promise<Rewritten> {
    const rewriter = this.#context.rewriting.begin(copy)
    const out: Buffer[] = []
    let since = performance.now()
    for (const piece of pieces) {
      for (const written of rewriter.write(piece)) out.push(written)
      if (performance.now() - since < turnMsMax) continue
      // Other sessions have their turn before a large message goes on.
      await nextTurn()
      since = performance.now()
    }
    for (const written of rewriter.end()) out.push(written)
    return { pieces: out, bytes: bytesOf(out), rewriter }
  }

  #stuff(pieces: readonly Buffer[], out: Buffer[]): void {
    for (const piece of pieces) for (const stuffed of this.#stuffer.stuff(piece)) out.push(stuffed)
  }

  #send(out: readonly Buffer[]): boolean {
    if (this.#answeredEarly) return true
    this.#context.upstreamData?.(out)
    return this.#connection.send(out)
  }

  async #conclude(last: readonly Buffer[], rewriter: Rewriter): Promise<Reply> {
    const early = this.#answeredEarly
    this.#send(last)
    if (!early) this.#connection.bodySent(this.#context.limits.upstreamFinalMs)
    const reply = await this.#reply
    if (reply instanceof Error) return troubleReply(reply)
    this.#context.metrics.upstreamReply('message', reply.code)
    if (early) {
      // Its word is passed on, unless it claims to have what it hasn't.
      this.#connection.destroy()
      return isPositive(reply) ? troubleReply(new UpstreamLost('the upstream is out of step')) : reply
    }
    if (isPositive(reply)) {
      const message = rewriter.accepted()
      if (message) this.#context.accepted(message)
    }
    return reply
  }
}
