/** Caught mails: envelope and the message exactly as received, in pieces so that none is held in memory as a whole. */
import type { SQLInputValue } from 'node:sqlite'
import type { Store } from './store.ts'

export interface MailRow {
  readonly id: string
  /** Envelope sender (reverse-path); empty for a notification. */
  readonly from: string
  /** Envelope recipients in the order given, repeats included. */
  readonly to: readonly string[]
  /** Unix ms. */
  readonly received: number
  readonly subject: string
  readonly bytes: number
}

/** Mails with an id over `after`, up to and including `through`. */
export interface MailWindow {
  readonly after: number
  readonly through: number
}

/** What is known of a mail when its last piece is there. */
export type MailEnvelope = Pick<MailRow, 'from' | 'to' | 'subject' | 'bytes'>

/** Written to find out whether anything can be, in bytes. */
const triedBytes = 256 * 1024

const insertChunk = 'INSERT INTO mail_chunk (mail, n, bytes) VALUES (?, ?, ?)'

const columns = 'id, mail_from, rcpt_to, received, subject, bytes'

export class MailStore {
  readonly #store: Store
  readonly #now: () => number
  #nextId: number
  #latest: number
  #committed: number

  constructor(store: Store, now: () => number = Date.now) {
    this.#store = store
    this.#now = now
    const newest = store.sql('SELECT max(id) AS id, max(received) AS received FROM mail').get()
    this.#committed = Number(newest?.['id'] ?? 0)
    this.#latest = Number(newest?.['received'] ?? 0)
    const orphan = store.sql('SELECT max(mail) AS id FROM mail_chunk').get()
    this.#nextId = Math.max(this.#committed, Number(orphan?.['id'] ?? 0)) + 1
    store.onCommit(() => {
      this.#committed = Number(store.sql('SELECT max(id) AS id FROM mail').get()?.['id'] ?? 0)
    })
  }

  /** Removes pieces of mails that were never completed because the process ended. */
  sweep(): Promise<void> {
    return this.#run('DELETE FROM mail_chunk WHERE mail NOT IN (SELECT id FROM mail)')
  }

  /** Writes as much as a piece of a mail takes, and takes it away again. @throws Error where the disk does not take it */
  async tryWriting(): Promise<void> {
    // Ids begin at 1: what bears 0 is nobody's mail.
    await this.#run('INSERT OR REPLACE INTO mail_chunk (mail, n, bytes) VALUES (0, 0, zeroblob(?))', triedBytes)
    await this.abandon('0')
  }

  /** An id for a mail that begins to come in. */
  begin(): string {
    return String(this.#nextId++)
  }

  /** Adds piece number `n`, from 0. */
  append(id: string, n: number, bytes: Uint8Array): Promise<void> {
    return this.#run(insertChunk, Number(id), n, bytes)
  }

  /** Adds the last piece and makes the mail visible; durable when resolved. */
  finish(id: string, n: number, last: Uint8Array, mail: MailEnvelope): Promise<void> {
    return this.#store.write(() => this.#finish(Number(id), n, last, mail))
  }

  /** Forgets a mail that was not completed. */
  abandon(id: string): Promise<void> {
    return this.#run('DELETE FROM mail_chunk WHERE mail = ?', Number(id))
  }

  *#finish(id: number, n: number, last: Uint8Array, mail: MailEnvelope): Generator<undefined, void> {
    this.#latest = Math.max(this.#latest, this.#now())
    this.#store.sql(insertChunk).run(id, n, last)
    yield
    this.#store
      .sql('INSERT INTO mail (id, received, mail_from, rcpt_to, subject, bytes) VALUES (?, ?, ?, ?, ?, ?)')
      .run(id, this.#latest, mail.from, JSON.stringify(mail.to), mail.subject, mail.bytes)
  }

  get(id: string): MailRow | undefined {
    if (!/^\d{1,15}$/.test(id) || Number(id) > this.#committed) return undefined
    const row = this.#store.sql(`SELECT ${columns} FROM mail WHERE id = ?`).get(Number(id))
    return row && readRow(row)
  }

  /** Piece number `n` of a message, from 0; undefined after the last. */
  piece(id: string, n: number): Uint8Array | undefined {
    const row = this.#store.sql('SELECT bytes FROM mail_chunk WHERE mail = ? AND n = ?').get(Number(id), n)
    return row?.['bytes'] as Uint8Array | undefined
  }

  /** Where a reader begins and ends: with what is stored now, or the newest `limit` of it. */
  window(limit = Number.POSITIVE_INFINITY): MailWindow {
    const through = this.#committed
    if (!Number.isFinite(limit)) return { after: 0, through }
    const first = this.#store
      .sql('SELECT id FROM mail WHERE id <= ? ORDER BY id DESC LIMIT 1 OFFSET ?')
      .get(through, Math.max(limit - 1, 0))?.['id']
    return { after: first === undefined ? 0 : Number(first) - 1, through }
  }

  /** The first mails of a window, oldest first. */
  page(window: MailWindow, rowsMax: number): readonly MailRow[] {
    return this.#store
      .sql(`SELECT ${columns} FROM mail WHERE id > ? AND id <= ? ORDER BY id LIMIT ?`)
      .all(window.after, window.through, rowsMax)
      .map(readRow)
  }

  /** How many mails are kept. */
  count(): number {
    return Number(this.#store.sql('SELECT count(*) AS n FROM mail').get()?.['n'])
  }

  async #run(sql: string, ...values: SQLInputValue[]): Promise<void> {
    const statement = this.#store.sql(sql)
    await this.#store.write(function* () {
      statement.run(...values)
      yield
    })
  }
}

function readRow(row: Readonly<Record<string, unknown>>): MailRow {
  return {
    id: String(row['id']),
    from: String(row['mail_from']),
    to: JSON.parse(String(row['rcpt_to'])) as string[],
    received: Number(row['received']),
    subject: String(row['subject']),
    bytes: Number(row['bytes']),
  }
}
