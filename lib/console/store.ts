/**
 * The console's database: one SQLite file with a write-ahead log, owned by one process.
 *
 * Invariants
 * - What `write` resolved for is on disk: it survives kill -9 and, as far as the disk keeps its word, a power failure.
 * - Everything handed to `write` while a transaction is under way goes into the next one: one flush for all of it.
 * - A write that fails takes back what it did and fails alone; a failing disk fails all of its transaction.
 * - The event loop is never held for longer than a slice: a write is a generator that may be suspended wherever it
 *   yields. Readers on the same connection can see rows of a suspended transaction and therefore read only up to what
 *   their own store knows to be committed.
 */
import { join } from 'node:path'
import { makeFolder } from '../process/make-folder.ts'
import { StoreError } from './store-error.ts'
import { DatabaseSync, type Database, type StatementSync } from './sqlite.ts'

/** Version of the tables, kept in SQLite's `user_version`. */
const schemaVersion = 1

const schema = `
  CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    message_id TEXT,
    recipient TEXT,
    event_id INTEGER,
    at INTEGER,
    received INTEGER NOT NULL,
    batch TEXT,
    body TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX event_by_id ON event (event_id) WHERE event_id IS NOT NULL;
  CREATE INDEX event_by_type ON event (type);
  CREATE INDEX event_by_message ON event (message_id);

  CREATE TABLE batch (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    received INTEGER NOT NULL,
    error_type TEXT,
    succeeded INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    digest BLOB
  ) STRICT;
  CREATE INDEX batch_by_digest ON batch (digest) WHERE digest IS NOT NULL;

  CREATE TABLE failure (
    seq INTEGER PRIMARY KEY,
    batch TEXT NOT NULL,
    line INTEGER NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX failure_by_batch ON failure (batch, line);

  CREATE TABLE mail (
    id INTEGER PRIMARY KEY,
    received INTEGER NOT NULL,
    mail_from TEXT NOT NULL,
    rcpt_to TEXT NOT NULL,
    subject TEXT NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE mail_chunk (
    mail INTEGER NOT NULL,
    n INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (mail, n)
  ) STRICT;
`

/** Longest time that a write holds the event loop before others have their turn. */
const sliceMs = 5

/** A change to the database. It yields between statements, where it may be suspended; what it returns is handed on. */
export type Write<T> = () => Generator<undefined, T>

interface Job {
  readonly write: Write<unknown>
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
  result?: unknown
  failure?: Error
}

export class Store {
  readonly #db: Database
  readonly #statements = new Map<string, StatementSync>()
  #waiting: Job[] = []
  #running: Promise<void> | undefined
  readonly #afterCommit: (() => void)[] = []

  private constructor(db: Database) {
    this.#db = db
  }

  /**
   * Opens the database in `dir`, creating both when absent.
   * @throws {StoreError} when another process has it, it can't be written or a newer version wrote it
   */
  static open(dir: string): Store {
    const file = join(dir, 'console.sqlite')
    let db
    try {
      makeFolder(dir, 0o700)
      db = new DatabaseSync(file)
      // Exclusive: a second process is refused at once, and no shared-memory file is needed.
      db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      db.exec('PRAGMA auto_vacuum = NONE; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -32768')
      migrate(db, file)
    } catch (error) {
      db?.close()
      throw explain(error as Error, dir, file)
    }
    return new Store(db)
  }

  /** A prepared statement, made once for each text. */
  sql(text: string): StatementSync {
    const known = this.#statements.get(text)
    if (known) return known
    const statement = this.#db.prepare(text)
    this.#statements.set(text, statement)
    return statement
  }

  /** Called after each transaction that was committed, before its writes are told. */
  onCommit(listener: () => void): void {
    this.#afterCommit.push(listener)
  }

  /** Resolves with what the write returned once it is durable. */
  write<T>(write: Write<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ write, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Bytes of the file that are in use. */
  bytesUsed(): number {
    const one = (name: string) => Number(Object.values(this.sql(`PRAGMA ${name}`).get() ?? {})[0])
    return (one('page_count') - one('freelist_count')) * one('page_size')
  }

  /** Finishes what was handed over and closes the file. */
  async close(): Promise<void> {
    while (this.#running) await this.#running
    if (this.#db.isOpen) this.#db.close()
  }

  async #run(): Promise<void> {
    // What arrives in the same turn of the event loop shares the first transaction as well.
    await nextTurn()
    while (this.#waiting.length > 0) {
      const jobs = this.#waiting
      this.#waiting = []
      await this.#transaction(jobs)
    }
    this.#running = undefined
  }

  async #transaction(jobs: readonly Job[]): Promise<void> {
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      for (const job of jobs) await this.#perform(job)
      this.#db.exec('COMMIT')
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      for (const job of jobs) job.reject(error as Error)
      return
    }
    for (const listener of this.#afterCommit) listener()
    for (const job of jobs) {
      if (job.failure) job.reject(job.failure)
      else job.resolve(job.result as never)
    }
  }

  async #perform(job: Job): Promise<void> {
    this.#db.exec('SAVEPOINT job')
    try {
      const steps = job.write()
      let sliceEnds = performance.now() + sliceMs
      let step = steps.next()
      while (!step.done) {
        if (performance.now() > sliceEnds) {
          await nextTurn()
          sliceEnds = performance.now() + sliceMs
        }
        step = steps.next()
      }
      job.result = step.value
    } catch (error) {
      job.failure = error as Error
      // A full disk ends the whole transaction, savepoints included.
      if (!this.#db.isTransaction) throw error
      this.#db.exec('ROLLBACK TO job')
    }
    this.#db.exec('RELEASE job')
  }
}

function migrate(db: Database, file: string): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version > schemaVersion) {
    throw new StoreError(`${file} was written by a newer version (${version}): use that version or another --data-dir`)
  }
  if (version === schemaVersion) {
    // Takes the lock now rather than at the first write, so that a second process is refused at its start.
    db.exec('BEGIN EXCLUSIVE; COMMIT')
    return
  }
  db.exec(`BEGIN EXCLUSIVE; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT`)
}

function explain(error: Error, dir: string, file: string): Error {
  if (error instanceof StoreError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (/locked|busy/i.test(message)) {
    return new StoreError(`${file} is used by another console: stop it or choose another --data-dir`)
  }
  if (/not a database|malformed/i.test(message)) {
    return new StoreError(`${file} is damaged (${message}): move it away and start again, or restore it`)
  }
  return new StoreError(`--data-dir ${dir} can't be used (${code ?? message}): check the path and its permissions`)
}

function nextTurn(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve)
  })
}
