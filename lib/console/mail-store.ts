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

/** Rows that one read takes from the database. */
const pageRows = 200

const insertChunk = 'INSERT INTO mail_chunk (mail, n, bytes) VALUES (?, ?, ?)'

const columns = 'id, mail_from, rcpt_to, received, subject, bytes'

/** A mail being received. */
export interface MailDraft {
  readonly id: number
  chunks: number
  bytes: number
}

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

  begin(): MailDraft {
    return { id: this.#nextId++, chunks: 0, bytes: 0 }
  }

  /** Adds a piece. Resolves when it is stored, which bounds what a fast sender can make us hold. */
  append(draft: MailDraft, bytes: Uint8Array): Promise<void> {
    draft.bytes += bytes.length
    return this.#run(insertChunk, draft.id, draft.chunks++, bytes)
  }

  /** Adds the last piece and makes the mail visible; durable when resolved. */
  async finish(draft: MailDraft, last: Uint8Array, mail: Pick<MailRow, 'from' | 'to' | 'subject'>): Promise<MailRow> {
    draft.bytes += last.length
    const received = await this.#store.write(() => this.#finish(draft, last, mail))
    return { id: String(draft.id), received, bytes: draft.bytes, ...mail }
  }

  /** Forgets a mail that was not completed. */
  async abandon(draft: MailDraft): Promise<void> {
    if (draft.chunks > 0) await this.#run('DELETE FROM mail_chunk WHERE mail = ?', draft.id)
  }

  *#finish(
    draft: MailDraft,
    last: Uint8Array,
    mail: Pick<MailRow, 'from' | 'to' | 'subject'>,
  ): Generator<undefined, number> {
    this.#latest = Math.max(this.#latest, this.#now())
    if (last.length > 0) this.#store.sql(insertChunk).run(draft.id, draft.chunks++, last)
    yield
    this.#store
      .sql('INSERT INTO mail (id, received, mail_from, rcpt_to, subject, bytes) VALUES (?, ?, ?, ?, ?, ?)')
      .run(draft.id, this.#latest, mail.from, JSON.stringify(mail.to), mail.subject, draft.bytes)
    return this.#latest
  }

  get(id: string): MailRow | undefined {
    if (!/^\d{1,15}$/.test(id) || Number(id) > this.#committed) return undefined
    const row = this.#store.sql(`SELECT ${columns} FROM mail WHERE id = ?`).get(Number(id))
    return row && readRow(row)
  }

  /** The message, piece by piece. */
  *content(id: string): Generator<Uint8Array, void> {
    const read = this.#store.sql('SELECT n, bytes FROM mail_chunk WHERE mail = ? AND n > ? ORDER BY n LIMIT 1')
    for (let n = -1; ;) {
      const row = read.get(Number(id), n) as { n: number; bytes: Uint8Array } | undefined
      if (!row) return
      yield row.bytes
      n = row.n
    }
  }

  /** All mails, oldest first, or the newest `limit` of them. */
  *pages(limit = Number.POSITIVE_INFINITY): Generator<readonly MailRow[], void> {
    const through = this.#committed
    let after = 0
    if (Number.isFinite(limit)) {
      const first = this.#store
        .sql('SELECT id FROM mail WHERE id <= ? ORDER BY id DESC LIMIT 1 OFFSET ?')
        .get(through, Math.max(limit - 1, 0))?.['id']
      if (first !== undefined) after = Number(first) - 1
    }
    const read = this.#store.sql(`SELECT ${columns} FROM mail WHERE id > ? AND id <= ? ORDER BY id LIMIT ?`)
    for (let left = limit; left > 0;) {
      const rows = read.all(after, through, Math.min(pageRows, left))
      const last = rows.at(-1)
      if (!last) return
      yield rows.map(readRow)
      after = Number(last['id'])
      left -= rows.length
    }
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
