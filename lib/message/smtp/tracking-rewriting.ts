/** Wraps messages on their way through, stamps their ids, and counts what was done. */
import { randomFillSync, randomUUID } from 'node:crypto'
import { Counter, type Registry } from '../../process/prometheus.ts'
import type { LinkKeys } from '../../link/keys.ts'
import type { Logger } from '../../process/log.ts'
import { newMessageId } from '../../record/message-id.ts'
import { messageIdentity, type MessageIdentity } from '../tracking/stamp.ts'
import type { TrackingPlan, TrackingSwitches } from '../tracking/tracking-plan.ts'
import { planFor, signedLinks, type TrackingSettings } from '../tracking/tracking-settings.ts'
import type { WrapReport } from '../tracking/wrap-report.ts'
import { MessageWrapper } from '../tracking/wrap-message.ts'
import { messageHead } from './message-head.ts'
import type { Copy, RelayedMessage, Rewriter, Rewriting } from './rewriting.ts'

const nothing: TrackingSwitches = { trackOpen: false, trackInitialOpen: false, trackClick: false, trackText: false }

/** Random bytes for message ids, fetched for many at a time. */
class IdRandom {
  readonly #bytes = Buffer.alloc(4096)
  #at = this.#bytes.length

  /** Four bytes that nobody else gets; they change when more are taken. */
  take(): Uint8Array {
    if (this.#at === this.#bytes.length) {
      randomFillSync(this.#bytes)
      this.#at = 0
    }
    this.#at += 4
    return this.#bytes.subarray(this.#at - 4, this.#at)
  }
}
const idRandom = new IdRandom()

export class TrackingRewriting implements Rewriting {
  readonly #settings: TrackingSettings
  readonly #keys: () => LinkKeys | undefined
  readonly #log: Logger
  readonly #links: Counter
  readonly #pixels: Counter
  readonly #skipped: Counter<'reason'>

  /** @param keys the keys of the moment; undefined when nothing is tracked */
  constructor(settings: TrackingSettings, keys: () => LinkKeys | undefined, log: Logger, registry: Registry) {
    this.#settings = settings
    this.#keys = keys
    this.#log = log
    const registers = [registry]
    this.#links = new Counter({
      name: 'wrapper_links_total',
      help: 'Links that were wrapped in messages which the upstream accepted.',
      registers,
    })
    this.#pixels = new Counter({
      name: 'wrapper_pixels_total',
      help: 'Pixels that were added to messages which the upstream accepted.',
      registers,
    })
    this.#skipped = new Counter({
      name: 'wrapper_skipped_total',
      help: 'Links, parts and messages that were left as they are, by reason; docs/what-is-wrapped.md says what each means.',
      labelNames: ['reason'],
      registers,
    })
  }

  begin(copy: Copy): Rewriter {
    let stamped: Stamped | undefined
    const wrapper = new MessageWrapper(header => {
      const identity = messageIdentity(header)
      stamped = {
        identity,
        messageId: identity.messageId ?? newMessageId(Date.now(), idRandom.take()),
        uuid: identity.uuid ?? randomUUID(),
      }
      return this.#plan(stamped, copy.stampOnly ?? false)
    })
    return {
      write: chunk => wrapper.write(chunk),
      end: () => wrapper.end(),
      accepted: () => {
        this.#count(wrapper.report, copy.stampOnly ?? false)
        return stamped && relayed(stamped, copy)
      },
    }
  }

  bringsId(pieces: readonly Buffer[]): boolean {
    const head = messageHead(pieces)
    return head !== undefined && messageIdentity(head).messageId !== undefined
  }

  #plan(stamped: Stamped, stampOnly: boolean): TrackingPlan {
    const keys = this.#keys()
    const plan = planFor(this.#settings, stamped, keys && signedLinks(this.#settings.trackingUrl ?? '', keys))
    return stampOnly || !keys ? { ...plan, ...nothing } : plan
  }

  #count({ links, pixels, skipped, failure }: WrapReport, stampOnly: boolean): void {
    if (links > 0) this.#links.inc(links)
    if (pixels > 0) this.#pixels.inc(pixels)
    for (const [reason, count] of Object.entries(skipped)) this.#skipped.inc({ reason }, count)
    if (stampOnly) this.#skipped.inc({ reason: 'upstream-size' })
    if (failure !== undefined) this.#log.warn({ reason: failure }, 'a message went on unwrapped')
  }
}

interface Stamped {
  readonly identity: MessageIdentity
  readonly messageId: string
  readonly uuid: string
}

function relayed({ identity, messageId, uuid }: Stamped, { recipient, reversePath }: Copy): RelayedMessage {
  const { job, subaccount } = identity
  return {
    messageId,
    record: {
      uuid,
      ...(recipient !== undefined && { recipient }),
      ...(reversePath !== '' && { sender: reversePath }),
      ...(job !== undefined && { job }),
      ...(subaccount !== undefined && { subaccount }),
    },
  }
}
