/** Forgets what is oldest, so that the console's database stays within its bounds. */
import type { Store } from './store.ts'

export interface Bounds {
  readonly eventsMax: number
  readonly mailsMax: number
  /** Of the database in all. */
  readonly bytesMax: number
}

/** What was forgotten. */
export interface Forgotten {
  readonly events: number
  readonly mails: number
}

/** Outcomes of batches that are kept, whatever became of their events. */
const batchesMax = 100_000

/** How much is forgotten at once when the file is too big: enough to matter, little enough to be quick. */
const portion = { events: 2_000, mails: 20, failures: 2_000 }

export class Retention {
  readonly #store: Store
  readonly #bounds: Bounds

  constructor(store: Store, bounds: Bounds) {
    this.#store = store
    this.#bounds = bounds
  }

  /** Brings everything within the bounds. Cheap when there is nothing to forget. */
  async enforce(): Promise<Forgotten> {
    const total = { events: 0, mails: 0 }
    for (;;) {
      const { events, mails, more } = await this.#step()
      total.events += events
      total.mails += mails
      if (!more) return total
    }
  }

  #step(): Promise<Forgotten & { more: boolean }> {
    const store = this.#store
    const { eventsMax, mailsMax, bytesMax } = this.#bounds
    const count = (sql: string) => Number(store.sql(sql).get()?.['n'] ?? 0)
    // Numbers have no gaps but where a write failed: their span is the count, without reading millions of rows.
    const span = (table: string) => count(`SELECT max(seq) - min(seq) + 1 AS n FROM ${table}`)
    const forget = (sql: string, limit: number) => (limit > 0 ? Number(store.sql(sql).run(limit).changes) : 0)
    // The newest stays whatever happens, so that no number is ever given twice.
    const oldestEvents =
      'DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq < (SELECT max(seq) FROM event) ORDER BY seq LIMIT ?)'
    const oldestFailures = 'DELETE FROM failure WHERE seq IN (SELECT seq FROM failure ORDER BY seq LIMIT ?)'
    const oldestBatches = 'DELETE FROM batch WHERE seq IN (SELECT seq FROM batch ORDER BY seq LIMIT ?)'
    const oldestMails = 'DELETE FROM mail WHERE id IN (SELECT id FROM mail ORDER BY id LIMIT ?)'
    const theirPieces = 'DELETE FROM mail_chunk WHERE mail IN (SELECT id FROM mail ORDER BY id LIMIT ?)'
    return store.write(function* () {
      const tooMany = {
        events: Math.min(span('event') - eventsMax, portion.events),
        mails: Math.min(count('SELECT count(*) AS n FROM mail') - mailsMax, portion.mails),
        batches: span('batch') - batchesMax,
      }
      yield
      const tooBig = store.bytesUsed() > bytesMax
      const failures = tooBig ? forget(oldestFailures, portion.failures) : 0
      yield
      // Mails weigh most and are the least to lose: what happened to them is in the events.
      const mailsKept = count('SELECT count(*) AS n FROM mail')
      const mailsNow =
        tooBig && failures === 0 ? Math.min(portion.mails, Math.ceil((mailsKept - 1) / 4)) : tooMany.mails
      forget(theirPieces, mailsNow)
      const mails = forget(oldestMails, mailsNow)
      yield
      const eventsNow = tooBig && failures + mails === 0 ? portion.events : tooMany.events
      const events = forget(oldestEvents, eventsNow)
      yield
      const batches = forget(oldestBatches, tooMany.batches)
      return {
        events,
        mails,
        more:
          failures + mails + events + batches > 0 && (tooBig || events === portion.events || mails === portion.mails),
      }
    })
  }
}
