/**
 * The recipients that wait for another attempt, each with its last result: an expiry names none of them. There may be
 * hundreds of thousands, so they are bytes outside of the heap: a header of numbers, then the texts as UTF-8, one after the
 * other. Those of one message form a list; the message keeps the number of the first.
 */
import { randomInt } from 'node:crypto'
import { ByteBlocks } from './byte-blocks.ts'
import { HashIndex } from './hash-index.ts'

/** The last failed attempt for a recipient that is still to be delivered. */
export interface Pending {
  readonly to: string
  readonly origTo: string | undefined
  readonly relay: string
  readonly dsn: string
  readonly code: number | undefined
  readonly description: string
  /** When it was last reported, Unix ms. */
  readonly reportedAtMs: number
  /** Its SOFTBOUNCE was reported. */
  readonly softReported: boolean
}

/** Places in a header. */
const at = {
  next: 0,
  previous: 4,
  hash: 8,
  slot: 12,
  reportedAtMs: 16,
  /** Lengths of `to`, `origTo`, `relay` in UTF-16 units, as the texts are cut after they were decoded. */
  toLength: 24,
  origToLength: 28,
  relayLength: 32,
  /** Bytes of all texts. */
  textBytes: 36,
  code: 40,
  dsnLength: 42,
  flags: 43,
} as const
const headerBytes = 44
const softBit = 1
const origToBit = 2

export class PendingRecipients {
  readonly #blocks: ByteBlocks
  readonly #index = new HashIndex()
  readonly #seed = randomInt(2 ** 32)
  #size = 0

  /** @param bytesMax most that all of them may take; at least a MiB */
  constructor(bytesMax: number) {
    this.#blocks = new ByteBlocks(Math.max(bytesMax, 1 << 20))
  }

  /** Recipients of all messages. */
  get size(): number {
    return this.#size
  }

  /** The number of a recipient of a message, or 0. */
  find(slot: number, to: string, origTo: string | undefined): number {
    const hash = this.#hashOf(slot, to, origTo)
    for (let place = this.#index.first(hash); place !== -1; place = this.#index.next(place, hash)) {
      const number = this.#index.valueAt(place)
      if (this.#u32(number, at.slot) !== slot) continue
      const found = this.get(number)
      if (found.to === to && found.origTo === origTo) return number
    }
    return 0
  }

  get(number: number): Pending {
    const page = this.#blocks.page(number)
    const base = this.#blocks.offset(number)
    const from = base + headerBytes
    const texts = page.toString('utf8', from, from + page.readUInt32LE(base + at.textBytes))
    const origToFrom = page.readUInt32LE(base + at.toLength)
    const relayFrom = origToFrom + page.readUInt32LE(base + at.origToLength)
    const dsnFrom = relayFrom + page.readUInt32LE(base + at.relayLength)
    const descriptionFrom = dsnFrom + page[base + at.dsnLength]!
    const flags = page[base + at.flags]!
    const code = page.readUInt16LE(base + at.code)
    return {
      to: texts.slice(0, origToFrom),
      origTo: (flags & origToBit) === 0 ? undefined : texts.slice(origToFrom, relayFrom),
      relay: texts.slice(relayFrom, dsnFrom),
      dsn: texts.slice(dsnFrom, descriptionFrom),
      code: code === 0 ? undefined : code,
      description: texts.slice(descriptionFrom),
      reportedAtMs: page.readDoubleLE(base + at.reportedAtMs),
      softReported: (flags & softBit) !== 0,
    }
  }

  /**
   * Adds a recipient that the message does not have yet.
   * @param first of the message's list, 0 when it has none
   * @returns the first of the list from now on; undefined when there is no room for it
   */
  add(slot: number, first: number, pending: Pending): number | undefined {
    const { to, origTo, relay, dsn } = pending
    const texts = `${to}${origTo ?? ''}${relay}${dsn}${pending.description}`
    const textBytes = Buffer.byteLength(texts)
    if (!this.#blocks.hasRoom(headerBytes + textBytes)) return undefined
    const number = this.#blocks.take(headerBytes + textBytes)
    const hash = this.#hashOf(slot, to, origTo)
    const page = this.#blocks.page(number)
    const base = this.#blocks.offset(number)
    page.writeUInt32LE(first, base + at.next)
    page.writeUInt32LE(0, base + at.previous)
    page.writeUInt32LE(hash, base + at.hash)
    page.writeUInt32LE(slot, base + at.slot)
    page.writeDoubleLE(pending.reportedAtMs, base + at.reportedAtMs)
    page.writeUInt32LE(to.length, base + at.toLength)
    page.writeUInt32LE(origTo?.length ?? 0, base + at.origToLength)
    page.writeUInt32LE(relay.length, base + at.relayLength)
    page.writeUInt32LE(textBytes, base + at.textBytes)
    page.writeUInt16LE(pending.code ?? 0, base + at.code)
    page[base + at.dsnLength] = dsn.length
    page[base + at.flags] = (pending.softReported ? softBit : 0) | (origTo === undefined ? 0 : origToBit)
    page.write(texts, base + headerBytes)
    if (first !== 0) this.#setU32(first, at.previous, number)
    this.#index.add(hash, number)
    this.#size++
    return number
  }

  /** @returns the first of the message's list from now on */
  delete(number: number, first: number): number {
    const next = this.#u32(number, at.next)
    const previous = this.#u32(number, at.previous)
    if (next !== 0) this.#setU32(next, at.previous, previous)
    if (previous !== 0) this.#setU32(previous, at.next, next)
    this.#giveBack(number)
    return previous === 0 ? next : first
  }

  /** All of a message's list. */
  clear(first: number): void {
    for (let number = first; number !== 0;) {
      const next = this.#u32(number, at.next)
      this.#giveBack(number)
      number = next
    }
  }

  /** A message's list, in the order in which they were added. */
  list(first: number): Pending[] {
    const found: Pending[] = []
    for (let number = first; number !== 0; number = this.#u32(number, at.next)) found.push(this.get(number))
    return found.toReversed()
  }

  #giveBack(number: number): void {
    this.#index.remove(this.#u32(number, at.hash), number)
    this.#blocks.giveBack(number, headerBytes + this.#u32(number, at.textBytes))
    this.#size--
  }

  #u32(number: number, field: number): number {
    return this.#blocks.page(number).readUInt32LE(this.#blocks.offset(number) + field)
  }

  #setU32(number: number, field: number, value: number): void {
    this.#blocks.page(number).writeUInt32LE(value, this.#blocks.offset(number) + field)
  }

  #hashOf(slot: number, to: string, origTo: string | undefined): number {
    let hash = Math.imul(this.#seed ^ slot, 0x9e37_79b1)
    for (let place = 0; place < to.length; place++) hash = Math.imul(hash ^ to.charCodeAt(place), 0x85eb_ca6b)
    if (origTo !== undefined) {
      hash = Math.imul(hash ^ 10, 0x85eb_ca6b)
      for (let place = 0; place < origTo.length; place++) hash = Math.imul(hash ^ origTo.charCodeAt(place), 0x85eb_ca6b)
    }
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2_ae35)
    return (hash ^ (hash >>> 13)) >>> 0
  }
}
