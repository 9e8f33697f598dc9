/**
 * What the database's thread does for the rest of the console. Arguments and results are plain data, for they are
 * copied between threads.
 */
import { eventLine } from './event-line.ts'
import {
  type BatchRow,
  type EventFilter,
  type EventRow,
  EventStore,
  type EventWindow,
  type FailedLine,
} from './event-store.ts'
import { batchOf } from './ingest-batch.ts'
import { type MailEnvelope, type MailRow, MailStore, type MailWindow } from './mail-store.ts'
import type { ReceivedEvent } from './received-event.ts'
import { type Bounds, type Forgotten, Retention } from './retention.ts'
import { Store } from './store.ts'

export type ArchiveOperations = ReturnType<typeof archiveOperations>

export interface ArchiveCounts {
  readonly events: number
  readonly mails: number
  /** Of the database that are in use. */
  readonly bytes: number
}

/** Part of an answer in NDJSON. */
export interface EventLines {
  readonly text: string
  /** Where to go on; undefined at the end. */
  readonly next: EventWindow | undefined
  readonly count: number
}

/** @throws {StoreError} when the database can't be opened */
export function archiveOperations(dir: string, bounds: Bounds, now: () => number = Date.now) {
  const store = Store.open(dir)
  const events = new EventStore(store, now)
  const mails = new MailStore(store, now)
  const retention = new Retention(store, bounds)
  return {
    addEvents: (received: readonly ReceivedEvent[]): Promise<void> => events.add(received),
    addBatch: (id: string, inflated: Uint8Array | undefined): Promise<BatchRow> =>
      events.addBatch(batchOf(id, inflated, now())),
    eventWindow: (filter: EventFilter, limit?: number): EventWindow => events.window(filter, limit),
    eventPage: (filter: EventFilter, window: EventWindow, rowsMax: number): readonly EventRow[] =>
      events.page(filter, window, rowsMax),
    eventLines: (filter: EventFilter, window: EventWindow, rowsMax: number): EventLines => {
      const rows = events.page(filter, window, rowsMax)
      const last = rows.at(-1)
      const next = last && rows.length === rowsMax ? { after: last.seq, through: window.through } : undefined
      return { text: rows.map(eventLine).join(''), next, count: rows.length }
    },
    batches: (ids: readonly string[] | undefined, after: number, rowsMax: number): readonly BatchRow[] =>
      events.batches(ids, after, rowsMax),
    failures: (batch: string, afterLine: number, rowsMax: number): readonly FailedLine[] =>
      events.failures(batch, afterLine, rowsMax),
    sweepMails: (): Promise<void> => mails.sweep(),
    tryWriting: (): Promise<void> => mails.tryWriting(),
    beginMail: (): string => mails.begin(),
    appendMail: (id: string, n: number, bytes: Uint8Array): Promise<void> => mails.append(id, n, bytes),
    finishMail: (id: string, n: number, last: Uint8Array, mail: MailEnvelope): Promise<void> =>
      mails.finish(id, n, last, mail),
    abandonMail: (id: string): Promise<void> => mails.abandon(id),
    mail: (id: string): MailRow | undefined => mails.get(id),
    mailPiece: (id: string, n: number): Uint8Array | undefined => mails.piece(id, n),
    mailWindow: (limit?: number): MailWindow => mails.window(limit),
    mailPage: (window: MailWindow, rowsMax: number): readonly MailRow[] => mails.page(window, rowsMax),
    counts: (): ArchiveCounts => ({ events: events.count(), mails: mails.count(), bytes: store.bytesUsed() }),
    enforceBounds: (): Promise<Forgotten> => retention.enforce(),
    close: (): Promise<void> => store.close(),
  }
}
