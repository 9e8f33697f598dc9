/** Events and mails as the console keeps them: the database, seen from the threads that serve. */
import { Worker } from 'node:worker_threads'
import type { ArchiveOperations } from './archive-operations.ts'
import type { ArchiveAnswer, ArchiveCall } from './archive-worker.ts'
import type { EventFilter, EventRow, FailedLine } from './event-store.ts'
import type { MailRow } from './mail-store.ts'
import type { Bounds } from './retention.ts'
import { StoreError } from './store-error.ts'

/** Rows that are taken from the database at once: bounds the memory and the time that others wait. */
const pageRows = 500

type Operation = keyof ArchiveOperations

interface Pending {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

export class Archive {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  #calls = 0
  #ended: Error | undefined

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.on('message', ({ call, value, error }: ArchiveAnswer) => {
      const pending = this.#pending.get(call)
      this.#pending.delete(call)
      if (error) pending?.reject(error.name === 'StoreError' ? new StoreError(error.message) : new Error(error.message))
      else pending?.resolve(value as never)
    })
    const ended = (error: Error) => {
      this.#ended ??= error
      for (const pending of this.#pending.values()) pending.reject(this.#ended)
      this.#pending.clear()
    }
    worker.once('exit', () => ended(new Error('the database is closed')))
    // A defect, not a circumstance: let the process end, loudly, and be started anew.
    worker.once('error', (error: Error) => {
      ended(error)
      throw error
    })
  }

  /** @throws {StoreError} when the database can't be opened; the message names it and the fix */
  static async open(dir: string, bounds: Bounds): Promise<Archive> {
    const archive = new Archive(
      new Worker(new URL('archive-worker.ts', import.meta.url), { workerData: { dir, bounds } }),
    )
    try {
      await new Promise<undefined>((resolve, reject) => archive.#pending.set(0, { resolve, reject }))
    } catch (error) {
      await archive.#worker.terminate()
      throw error
    }
    return archive
  }

  /** Has the database's thread do something; what was written is durable when it resolves. */
  call<Name extends Operation>(
    name: Name,
    ...args: Parameters<ArchiveOperations[Name]>
  ): Promise<Awaited<ReturnType<ArchiveOperations[Name]>>> {
    return new Promise((resolve, reject) => {
      if (this.#ended) throw this.#ended
      const call = ++this.#calls
      this.#pending.set(call, { resolve, reject })
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      this.#worker.postMessage({ call, name, args } satisfies ArchiveCall)
    })
  }

  /** NDJSON of the events that match, oldest first; ends with what was stored when it was called. */
  async *eventLines(filter: EventFilter, limit = Number.POSITIVE_INFINITY): AsyncGenerator<string, void> {
    let left = limit
    for (let next = await this.call('eventWindow', filter, limit), more = true; more && left > 0;) {
      const lines = await this.call('eventLines', filter, next, Math.min(pageRows, left))
      if (lines.text !== '') yield lines.text
      left -= lines.count
      more = lines.next !== undefined
      next = lines.next ?? next
    }
  }

  /** The newest events that match, newest first. */
  async latestEvents(filter: EventFilter, limit: number): Promise<readonly EventRow[]> {
    const rows = await this.call('eventPage', filter, await this.call('eventWindow', filter, limit), limit)
    return rows.toReversed()
  }

  /** The lines of a batch that were refused. */
  async *failures(batch: string): AsyncGenerator<FailedLine, void> {
    for (let after = 0; ;) {
      const rows = await this.call('failures', batch, after, pageRows)
      yield* rows
      const last = rows.at(-1)
      if (!last) return
      after = last.line
    }
  }

  /** Mails, oldest first, in pages: all of them, or the newest `limit`. */
  async *mailPages(limit?: number): AsyncGenerator<readonly MailRow[], void> {
    let window = await this.call('mailWindow', limit)
    for (;;) {
      const rows = await this.call('mailPage', window, pageRows)
      const last = rows.at(-1)
      if (!last) return
      yield rows
      window = { ...window, after: Number(last.id) }
    }
  }

  /** A message as it was received, piece by piece. */
  async *mailContent(id: string): AsyncGenerator<Uint8Array, void> {
    for (let n = 0; ; n++) {
      const piece = await this.call('mailPiece', id, n)
      if (!piece) return
      if (piece.length > 0) yield piece
    }
  }

  /** Finishes what was handed over and closes the database. */
  async close(): Promise<void> {
    if (!this.#ended) await this.call('close')
  }
}
