/**
 * The messages that are in the queue, by host and queue id: what is known of each, in one flat array of numbers. There may be
 * hundreds of thousands, each for days; as objects they would take three times the memory, and half a second of every
 * collection of garbage.
 *
 * A message is a slot, a number from 1 on (0 is none), valid until it is forgotten. The order in which those of one host
 * were opened is kept, and the order in which those that left the queue did.
 */
import { randomInt } from 'node:crypto'
import { HashIndex } from './hash-index.ts'
import { QueueHosts, type QueueHost } from './queue-hosts.ts'
import { queueIdCharsMax } from './queue-id.ts'
import { UuidPool } from './uuid-pool.ts'
import { formatUuid, isSameUuid } from './uuid-words.ts'

/** How sure a UUID is: the header names it; a message-id merely contains one. */
export const uuidRank = { none: 0, messageId: 1, header: 2 } as const

/** Words of a slot. */
const at = {
  hash: 0,
  host: 1,
  /** Bits 0–1 the rank of the UUID, then the flags below; from bit 8 on the length of the queue id. */
  flags: 2,
  serial: 3,
  /** Last sign of life, or when it left the queue: Unix seconds by the log. */
  touched: 4,
  previous: 5,
  next: 6,
  /** First of the recipients that wait (`PendingRecipients`). */
  pending: 7,
  /** A digest of the client's address, two words; 0 when it is near or not known. */
  client: 8,
  uuid: 10,
  /** The UUID in the message-id, where that is another one: a number of the pool, or 0. */
  messageIdUuid: 14,
  queueId: 15,
} as const
const slotWords = at.queueId + queueIdCharsMax / 4
const slotsMin = 1024
/** Hosts that a queue id is looked for on, when that of its line does not know it. */
const hostsAskedMax = 64

const rankBits = 3
const nullSenderBit = 4
const notificationBit = 8
const removedBit = 16
/** `uuid` is the one in the message-id too. */
const messageIdBit = 32
const lengthShift = 8

export class QueueIds {
  #words = new Uint32Array(slotsMin * slotWords)
  #bytes = new Uint8Array(this.#words.buffer)
  readonly #index = new HashIndex(slot => this.#words[slot * slotWords + at.hash]!)
  readonly #messageIdUuids = new UuidPool()
  readonly #hosts = new QueueHosts()
  #host = this.#hosts.numberOf('')
  #size = 0
  #slots = 1
  /** Head of the list of slots that are free. */
  #free = 0
  #serial = 0
  /** Those that left the queue, of all hosts, in order. */
  #firstRemoved = 0
  #lastRemoved = 0
  /** Nobody outside can choose ids that collide. */
  readonly #seed = randomInt(2 ** 32)

  get size(): number {
    return this.#size
  }

  // ── finding, opening, forgetting ──

  /** Chooses the host that `find` and `open` mean; the one without name until then. */
  setHost(name: string): void {
    this.#host = this.#hosts.numberOf(name)
  }

  /** The slot of the queue id that stands there in a text, or 0. */
  find(text: string, from: number, to: number): number {
    const hash = this.#hashOf(text, from, to)
    for (let place = this.#index.first(hash); place !== -1; place = this.#index.next(place, hash)) {
      const slot = this.#index.valueAt(place)
      if (this.#isThat(slot, text, from, to)) return slot
    }
    return 0
  }

  /**
   * The slot of the queue id that stands there in a text on another host than the chosen one, such that `isIt`: of several
   * the one that was opened last; or 0.
   */
  findElsewhere(text: string, from: number, to: number, isIt: (slot: number) => boolean): number {
    const chosen = this.#host
    let found = 0
    try {
      for (const number of this.#hosts.numbers(hostsAskedMax)) {
        if (number === chosen) continue
        this.#host = number
        const slot = this.find(text, from, to)
        if (slot !== 0 && (found === 0 || this.isAfter(slot, found)) && isIt(slot)) found = slot
      }
      return found
    } finally {
      this.#host = chosen
    }
  }

  /**
   * A new slot for the queue id that stands there in a text; it must not have one.
   * @param serial of one that was written down; otherwise the next
   */
  open(text: string, from: number, to: number, nowS: number, serial = this.#nextSerial()): number {
    const slot = this.#takeSlot()
    const words = this.#words
    const base = slot * slotWords
    const hash = this.#hashOf(text, from, to)
    words.fill(0, base, base + slotWords)
    words[base + at.hash] = hash
    words[base + at.host] = this.#host
    words[base + at.flags] = (to - from) << lengthShift
    words[base + at.serial] = serial
    words[base + at.touched] = nowS
    if (((serial - this.#serial) | 0) > 0) this.#serial = serial
    const bytes = this.#bytes
    const id = 4 * (base + at.queueId)
    for (let char = 0; char < to - from; char++) bytes[id + char] = text.charCodeAt(from + char)
    this.#index.add(slot)
    this.#append(this.#hosts.at(this.#host), slot)
    this.#size++
    return slot
  }

  forget(slot: number): void {
    const words = this.#words
    const base = slot * slotWords
    this.#unlink(slot)
    this.#hosts.at(words[base + at.host]!).size--
    this.#index.remove(slot)
    this.#messageIdUuids.giveBack(words[base + at.messageIdUuid]!)
    // No serial is 0: whoever remembers the slot finds out.
    words[base + at.serial] = 0
    words[base + at.next] = this.#free
    this.#free = slot
    this.#size--
  }

  /** Marks that it left the queue. */
  setRemoved(slot: number, nowS: number): void {
    const words = this.#words
    const base = slot * slotWords
    this.#unlink(slot)
    words[base + at.flags]! |= removedBit
    words[base + at.touched] = nowS
    words[base + at.previous] = this.#lastRemoved
    words[base + at.next] = 0
    if (this.#lastRemoved === 0) this.#firstRemoved = slot
    else words[this.#lastRemoved * slotWords + at.next] = slot
    this.#lastRemoved = slot
  }

  /** The one that left the queue first, or 0. */
  get firstRemoved(): number {
    return this.#firstRemoved
  }

  /** The next to make room: who left the queue first, else who was opened first on the host that has most. */
  oldest(): number {
    if (this.#firstRemoved !== 0) return this.#firstRemoved
    let most: QueueHost | undefined
    for (const host of this.#hosts.all()) {
      const more = host.size - (most?.size ?? 0)
      // Numbers of hosts change with a restart, serials do not.
      if (more > 0 || (most && more === 0 && this.isAfter(most.first, host.first))) most = host
    }
    return most?.first ?? 0
  }

  /** Forgets hosts that have nothing in the queue. */
  sweepHosts(): void {
    this.#hosts.sweep(this.#host)
  }

  /** All of them: those in the queue, of each host in the order in which they were opened; then those that left it, in order. */
  *all(): Generator<number> {
    for (const host of this.#hosts.all()) yield* this.#from(host.first)
    yield* this.#from(this.#firstRemoved)
  }

  *#from(first: number): Generator<number> {
    for (let slot = first; slot !== 0;) {
      // The one that is yielded may be forgotten meanwhile.
      const next = this.#words[slot * slotWords + at.next]!
      yield slot
      slot = next
    }
  }

  // ── what is known of one ──

  hostOf(slot: number): string {
    return this.#hosts.at(this.#words[slot * slotWords + at.host]!).name
  }

  idOf(slot: number): string {
    const from = 4 * (slot * slotWords + at.queueId)
    return Buffer.from(this.#bytes.buffer, from, this.#flags(slot) >>> lengthShift).toString('latin1')
  }

  /** Tells a slot from what it may be used for later. */
  serialOf(slot: number): number {
    return this.#words[slot * slotWords + at.serial]!
  }

  /** Whether it was opened after another one. */
  isAfter(slot: number, other: number): boolean {
    // Serials begin anew after 2^32.
    return ((this.serialOf(slot) - this.serialOf(other)) | 0) > 0
  }

  /** Last sign of life; of one that left the queue, when it did: Unix seconds by the log. */
  touchedS(slot: number): number {
    return this.#words[slot * slotWords + at.touched]!
  }

  touch(slot: number, nowS: number): void {
    this.#words[slot * slotWords + at.touched] = nowS
  }

  isRemoved(slot: number): boolean {
    return (this.#flags(slot) & removedBit) !== 0
  }

  /** Empty reverse-path. */
  hasNullSender(slot: number): boolean {
    return (this.#flags(slot) & nullSenderBit) !== 0
  }

  setNullSender(slot: number): void {
    this.#words[slot * slotWords + at.flags]! |= nullSenderBit
  }

  /** A notification that Postfix made itself: its delivery is nobody's event. */
  isNotification(slot: number): boolean {
    return (this.#flags(slot) & notificationBit) !== 0
  }

  setNotification(slot: number): void {
    this.#words[slot * slotWords + at.flags]! |= notificationBit
  }

  /** First of the recipients that wait, or 0; a number of `PendingRecipients`. */
  pending(slot: number): number {
    return this.#words[slot * slotWords + at.pending]!
  }

  setPending(slot: number, first: number): void {
    this.#words[slot * slotWords + at.pending] = first
  }

  /** Of which client it came; only that one and its digest are ever compared. */
  setClient(slot: number, digest: readonly [number, number]): void {
    const base = slot * slotWords + at.client
    this.#words[base] = digest[0]
    this.#words[base + 1] = digest[1]
  }

  clientOf(slot: number): readonly [number, number] {
    const base = slot * slotWords + at.client
    return [this.#words[base]!, this.#words[base + 1]!]
  }

  // ── its UUID ──

  rank(slot: number): number {
    return this.#flags(slot) & rankBits
  }

  uuid(slot: number): string | undefined {
    return this.rank(slot) === uuidRank.none ? undefined : formatUuid(this.#words, slot * slotWords + at.uuid)
  }

  sameUuid(slot: number, other: number): boolean {
    if (this.rank(slot) === uuidRank.none || this.rank(other) === uuidRank.none)
      return this.rank(slot) === this.rank(other)
    return isSameUuid(this.#words, slot * slotWords + at.uuid, this.#words, other * slotWords + at.uuid)
  }

  setUuid(slot: number, uuid: Uint32Array, rank: number): void {
    const messageIdUuid = this.#messageIdUuid(slot)
    this.#setRank(slot, rank)
    this.#words.set(uuid, slot * slotWords + at.uuid)
    if (messageIdUuid) this.setMessageIdUuid(slot, messageIdUuid)
  }

  copyUuid(slot: number, into: Uint32Array): void {
    const base = slot * slotWords + at.uuid
    for (let word = 0; word < 4; word++) into[word] = this.#words[base + word]!
  }

  /** UUID in the message-id, remembered for when the header turns out not to count. */
  messageIdUuid(slot: number): string | undefined {
    const uuid = this.#messageIdUuid(slot)
    return uuid && formatUuid(uuid, 0)
  }

  hasMessageIdUuid(slot: number): boolean {
    const base = slot * slotWords
    return (this.#words[base + at.flags]! & messageIdBit) !== 0 || this.#words[base + at.messageIdUuid] !== 0
  }

  setMessageIdUuid(slot: number, uuid: Uint32Array): void {
    const words = this.#words
    const base = slot * slotWords
    // Mostly it is the one that counts: then it is kept once.
    const counts = this.rank(slot) !== uuidRank.none && isSameUuid(words, base + at.uuid, uuid, 0)
    this.#messageIdUuids.giveBack(words[base + at.messageIdUuid]!)
    words[base + at.messageIdUuid] = counts ? 0 : this.#messageIdUuids.take(uuid)
    words[base + at.flags] = counts ? words[base + at.flags]! | messageIdBit : words[base + at.flags]! & ~messageIdBit
  }

  /** Takes back the UUID that a header named: that of the message-id is left, or none. */
  dropHeaderUuid(slot: number): void {
    const messageIdUuid = this.#messageIdUuid(slot)
    if (messageIdUuid) this.setUuid(slot, messageIdUuid, uuidRank.messageId)
    else this.#setRank(slot, uuidRank.none)
  }

  /** A copy. */
  #messageIdUuid(slot: number): Uint32Array | undefined {
    const base = slot * slotWords
    if ((this.#words[base + at.flags]! & messageIdBit) !== 0)
      return this.#words.slice(base + at.uuid, base + at.uuid + 4)
    const number = this.#words[base + at.messageIdUuid]!
    return number === 0 ? undefined : this.#messageIdUuids.get(number)
  }

  #setRank(slot: number, rank: number): void {
    const place = slot * slotWords + at.flags
    this.#words[place] = (this.#words[place]! & ~rankBits) | rank
  }

  // ── how it is kept ──

  #flags(slot: number): number {
    return this.#words[slot * slotWords + at.flags]!
  }

  #hashOf(text: string, from: number, to: number): number {
    let hash = this.#seed ^ Math.imul(this.#host + 1, 0x9e37_79b1)
    for (let place = from; place < to; place++) hash = Math.imul(hash ^ text.charCodeAt(place), 0x85eb_ca6b)
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2_ae35)
    return (hash ^ (hash >>> 13)) >>> 0
  }

  #isThat(slot: number, text: string, from: number, to: number): boolean {
    const words = this.#words
    const base = slot * slotWords
    if (words[base + at.host] !== this.#host || words[base + at.flags]! >>> lengthShift !== to - from) return false
    const bytes = this.#bytes
    const id = 4 * (base + at.queueId)
    for (let char = 0; char < to - from; char++) if (bytes[id + char] !== text.charCodeAt(from + char)) return false
    return true
  }

  #nextSerial(): number {
    // 0 is that of a slot that is free.
    return this.#serial === 0xffff_ffff ? 1 : this.#serial + 1
  }

  #takeSlot(): number {
    const slot = this.#free
    if (slot !== 0) {
      this.#free = this.#words[slot * slotWords + at.next]!
      return slot
    }
    if ((this.#slots + 1) * slotWords > this.#words.length) {
      const words = new Uint32Array(2 * this.#words.length)
      words.set(this.#words)
      this.#words = words
      this.#bytes = new Uint8Array(words.buffer)
    }
    return this.#slots++
  }

  #append(host: QueueHost, slot: number): void {
    const words = this.#words
    words[slot * slotWords + at.previous] = host.last
    if (host.last === 0) host.first = slot
    else words[host.last * slotWords + at.next] = slot
    host.last = slot
    host.size++
  }

  /** Takes it out of the list that it is in. */
  #unlink(slot: number): void {
    const words = this.#words
    const base = slot * slotWords
    const previous = words[base + at.previous]!
    const next = words[base + at.next]!
    const host = this.#hosts.at(words[base + at.host]!)
    const isRemoved = (words[base + at.flags]! & removedBit) !== 0
    if (previous !== 0) words[previous * slotWords + at.next] = next
    else if (isRemoved) this.#firstRemoved = next
    else host.first = next
    if (next !== 0) words[next * slotWords + at.previous] = previous
    else if (isRemoved) this.#lastRemoved = previous
    else host.last = previous
  }
}
