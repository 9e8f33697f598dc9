/**
 * The recipients that wait for another attempt, each with its last result: an expiry names none of them. There may be
 * hundreds of thousands, so they are bytes outside of the heap: a header of numbers, then the address as UTF-8, where there
 * are two as `LENGTH ADDRESSADDRESS` with the length of the first in UTF-16 units. What is said of them is said of many
 * alike and shared. Those of one message form a list; the message keeps the number of the first.
 */
import { randomInt } from 'node:crypto'
import { ByteBlocks } from './byte-blocks.ts'
import { HashIndex } from './hash-index.ts'
import { SharedTexts } from './shared-texts.ts'

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
  /** The flags below; from bit 3 on the bytes of what follows the header. */
  flags: 24,
  /** Shared texts: `code dsn relay`, and the description with the recipient taken out. */
  hop: 28,
  description: 32,
} as const
const headerBytes = 36
const softBit = 1
const origToBit = 2
const namesToBit = 4
const textShift = 3
/** Stands for the recipient in a description that names it; no description that holds it is shared so. */
const recipientMark = '\0'

export class PendingRecipients {
  readonly #blocks: ByteBlocks
  readonly #index = new HashIndex(number => this.#u32(number, at.hash))
  readonly #hops: SharedTexts
  readonly #descriptions: SharedTexts
  readonly #seed = randomInt(2 ** 32)
  #size = 0

  /** @param bytesMax most that all of them may take; at least a MiB */
  constructor(bytesMax: number) {
    this.#blocks = new ByteBlocks(Math.max(bytesMax, 1 << 20))
    this.#hops = new SharedTexts(this.#blocks)
    this.#descriptions = new SharedTexts(this.#blocks)
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
      const found = this.#addresses(number)
      if (found.to === to && found.origTo === origTo) return number
    }
    return 0
  }

  get(number: number): Pending {
    const page = this.#blocks.page(number)
    const base = this.#blocks.offset(number)
    const { to, origTo } = this.#addresses(number)
    const hop = this.#hops.get(page.readUInt32LE(base + at.hop))
    const codeEnd = hop.indexOf(' ')
    const dsnEnd = hop.indexOf(' ', codeEnd + 1)
    const code = Number(hop.slice(0, codeEnd))
    const said = this.#descriptions.get(page.readUInt32LE(base + at.description))
    const flags = page.readUInt32LE(base + at.flags)
    return {
      to,
      origTo,
      relay: hop.slice(dsnEnd + 1),
      dsn: hop.slice(codeEnd + 1, dsnEnd),
      code: code === 0 ? undefined : code,
      description: (flags & namesToBit) === 0 ? said : said.split(recipientMark).join(to),
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
    const { to, origTo, relay, dsn, description, code, reportedAtMs, softReported } = pending
    const addresses = origTo === undefined ? to : `${to.length} ${to}${origTo}`
    const textBytes = Buffer.byteLength(addresses)
    const hop = this.#hops.take(`${code ?? 0} ${dsn} ${relay}`)
    if (hop === undefined) return undefined
    // Most servers repeat whom they mean: without it they say the same to all.
    const namesTo = to !== '' && description.includes(to) && !description.includes(recipientMark)
    const said = this.#descriptions.take(namesTo ? replaced(description, to) : description)
    if (said === undefined || !this.#blocks.hasRoom(headerBytes + textBytes)) {
      this.#hops.giveBack(hop)
      if (said !== undefined) this.#descriptions.giveBack(said)
      return undefined
    }
    const number = this.#blocks.take(headerBytes + textBytes)
    const hash = this.#hashOf(slot, to, origTo)
    const page = this.#blocks.page(number)
    const base = this.#blocks.offset(number)
    page.writeUInt32LE(first, base + at.next)
    page.writeUInt32LE(0, base + at.previous)
    page.writeUInt32LE(hash, base + at.hash)
    page.writeUInt32LE(slot, base + at.slot)
    page.writeDoubleLE(reportedAtMs, base + at.reportedAtMs)
    const flags = (softReported ? softBit : 0) | (origTo === undefined ? 0 : origToBit) | (namesTo ? namesToBit : 0)
    page.writeUInt32LE((textBytes << textShift) | flags, base + at.flags)
    page.writeUInt32LE(hop, base + at.hop)
    page.writeUInt32LE(said, base + at.description)
    page.write(addresses, base + headerBytes)
    if (first !== 0) this.#setU32(first, at.previous, number)
    this.#index.add(number)
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

  #addresses(number: number): Pick<Pending, 'to' | 'origTo'> {
    const page = this.#blocks.page(number)
    const base = this.#blocks.offset(number)
    const from = base + headerBytes
    const flags = page.readUInt32LE(base + at.flags)
    const text = page.toString('utf8', from, from + (flags >>> textShift))
    if ((flags & origToBit) === 0) return { to: text, origTo: undefined }
    const toFrom = text.indexOf(' ') + 1
    const toEnd = toFrom + Number(text.slice(0, toFrom))
    return { to: text.slice(toFrom, toEnd), origTo: text.slice(toEnd) }
  }

  #giveBack(number: number): void {
    this.#index.remove(number)
    this.#hops.giveBack(this.#u32(number, at.hop))
    this.#descriptions.giveBack(this.#u32(number, at.description))
    this.#blocks.giveBack(number, headerBytes + (this.#u32(number, at.flags) >>> textShift))
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

/** With the mark in the place of a recipient that is in it. */
function replaced(description: string, to: string): string {
  const first = description.indexOf(to)
  if (description.lastIndexOf(to) !== first) return description.split(to).join(recipientMark)
  return description.slice(0, first) + recipientMark + description.slice(first + to.length)
}
