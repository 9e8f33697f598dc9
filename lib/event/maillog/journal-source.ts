/**
 * Follows the systemd journal through `journalctl`, a child process that is started again when it ends.
 *
 * The cursor is kept here, record by record: `journalctl -f --cursor-file` never writes it. `--no-tail` is needed even
 * with a cursor, else only the last ten records come.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { LogChunk, LogSource, Resume, SourceEvents, SourcePosition } from './log-source.ts'
import { StreamSource } from './stream-source.ts'

/** A record of the journal: its cursor and when it was received, in microseconds. */
export interface JournalPlace {
  /** Absent of a place that is only known by its time. */
  readonly cursor?: string
  readonly receivedUs: number
}

/** Syslog facility `mail`: also what `postsuper` and `sendmail` log outside of Postfix's own unit. */
const mailFacility = 'SYSLOG_FACILITY=2'
/** The journal's own records that it dropped lines of a unit. */
const droppedRecords = 'MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e'
const restartMsMax = 60_000
/** A journalctl that has run for so long is well, though nothing may have come, ms. */
const settledMs = 2_000

export interface JournalSourceOptions {
  /** Program; a test puts its own in place. */
  readonly command?: string
  /** Further matches or options for journalctl. */
  readonly arguments?: readonly string[]
  readonly fromBeginning: boolean
  readonly events: SourceEvents
  readonly nowMs?: () => number
  /** Time that is never set, ms from any moment. */
  readonly monotonicMs?: () => number
}

export class JournalSource implements LogSource {
  readonly id = 'journald'
  readonly ended = false
  readonly start?: SourcePosition
  readonly #options: JournalSourceOptions
  readonly #nowMs: () => number
  readonly #monotonicMs: () => number
  #place: JournalPlace | undefined
  /** Records up to here only teach the map. */
  #through: JournalPlace | undefined
  #lines: number
  /** What followed the end of the replay in the chunk that was read last. */
  #cutOff: LogChunk | undefined
  #child: ChildProcess | undefined
  #lineSource: StreamSource | undefined
  /** By the clock that is never set. */
  #startedMs = 0
  #restartAtMs = Number.NEGATIVE_INFINITY
  #failures = 0
  #stderr = ''

  constructor(options: JournalSourceOptions, { from, through, damaged }: Resume) {
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
    this.#monotonicMs = options.monotonicMs ?? (() => performance.now())
    this.#lines = (from ?? through)?.lines ?? 0
    const taken = (through?.place ?? undefined) as JournalPlace | undefined
    if (from ?? taken?.cursor) {
      // Without a map all that is still there makes it.
      this.#place = from?.place as JournalPlace | undefined
      this.#through = taken
    } else if (taken) this.#place = taken
    else if (!damaged && !options.fromBeginning) {
      this.#place = { receivedUs: this.#nowMs() * 1000 }
      this.start = { lines: 0, place: this.#place }
    }
  }

  async next(): Promise<LogChunk | undefined> {
    if (!this.#lineSource) {
      if (this.#monotonicMs() < this.#restartAtMs) return undefined
      this.#start()
    }
    const source = this.#lineSource!
    const chunk = this.#cutOff ?? (await source.next())
    this.#cutOff = undefined
    if (chunk) return this.#number(this.#untilReplayEnds(chunk))
    if (source.ended) this.#childEnded()
    else if (this.#monotonicMs() - this.#startedMs > settledMs) this.#options.events.trouble(this.id, undefined)
    return undefined
  }

  async lagBytes(): Promise<number> {
    return (await this.#lineSource?.lagBytes()) ?? 0
  }

  async close(): Promise<void> {
    this.#child?.kill()
    this.#child = undefined
    await this.#lineSource?.close()
    this.#lineSource = undefined
  }

  #start(): void {
    const { cursor, receivedUs } = this.#place ?? {}
    const from =
      cursor !== undefined
        ? [`--after-cursor=${cursor}`]
        : receivedUs !== undefined
          ? [`--since=@${Math.floor(receivedUs / 1e6)}`]
          : []
    const child = spawn(
      this.#options.command ?? 'journalctl',
      [
        '-q',
        '-o',
        'json',
        '--all',
        '-f',
        '--no-tail',
        ...from,
        ...(this.#options.arguments ?? []),
        mailFacility,
        '+',
        droppedRecords,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    this.#child = child
    this.#startedMs = this.#monotonicMs()
    this.#stderr = ''
    child.once('error', error => (this.#stderr = error.message))
    child.stderr.on('data', (text: Buffer) => (this.#stderr = `${this.#stderr}${text.toString()}`.slice(-500)))
    this.#lineSource = new StreamSource(this.id, child.stdout, this.#options.events, this.#nowMs)
  }

  #childEnded(): void {
    const now = this.#monotonicMs()
    this.#failures = now - this.#startedMs > restartMsMax ? 1 : this.#failures + 1
    this.#restartAtMs = now + Math.min(restartMsMax, 1000 * 2 ** Math.min(10, this.#failures - 1))
    const reason = this.#stderr.trim().split('\n')[0] ?? ''
    // A damaged journal, or one that is no longer this machine's: by time, which the place also has.
    if (/seek to cursor/i.test(reason) && this.#place) {
      this.#options.events.gap(this.id, 'the journal does not know the place that was read last')
      this.#place = { receivedUs: this.#place.receivedUs }
    }
    this.#options.events.trouble(
      this.id,
      `journalctl ended (${reason === '' ? 'without a word' : reason}): the agent's user needs to be in the group systemd-journal`,
    )
    this.#lineSource = undefined
    this.#child = undefined
  }

  /**
   * The records of a chunk that belong to the replay, when some do and some don't. It ends with the record that was taken
   * over last; where that one is gone, with the first that came later.
   */
  #untilReplayEnds(chunk: LogChunk): LogChunk {
    const through = this.#through
    if (!through) return chunk
    let from = 0
    let isOver = false
    for (let end = chunk.text.indexOf('\n'); end !== -1 && !isOver; end = chunk.text.indexOf('\n', from)) {
      const place = placeOf(chunk.text.slice(from, end))
      if (place && isLater(place, through)) isOver = true
      else {
        isOver = place?.cursor !== undefined && place.cursor === through.cursor
        from = end + 1
      }
    }
    if (isOver) this.#through = undefined
    const isCut = from > 0 && from < chunk.text.length
    if (isCut && isOver) this.#cutOff = { ...chunk, text: chunk.text.slice(from) }
    return { ...chunk, text: isCut && isOver ? chunk.text.slice(0, from) : chunk.text, replayed: from > 0 || !isOver }
  }

  /** Gives a chunk the place of its last record. */
  #number(chunk: LogChunk): LogChunk {
    this.#options.events.trouble(this.id, undefined)
    this.#failures = 0
    const last = placeOf(lastLine(chunk.text)) ?? this.#place
    this.#place = last
    for (let at = chunk.text.indexOf('\n'); at !== -1; at = chunk.text.indexOf('\n', at + 1)) this.#lines++
    return { ...chunk, position: { lines: this.#lines, place: last ?? null } }
  }
}

/** By the numbers that journald gives its records, where both have one of the same row; else by the clock, which may be set. */
function isLater(place: JournalPlace, other: JournalPlace): boolean {
  const [first, second] = [numberOf(place), numberOf(other)]
  if (first && second && first.row === second.row) return first.number > second.number
  return place.receivedUs > other.receivedUs
}

/** `s=ROW;i=NUMBER;…`, in hexadecimal digits. */
function numberOf({ cursor = '' }: JournalPlace): { row: string; number: number } | undefined {
  const [, row, digits] = /^s=([^;]+);i=([\da-f]{1,13});/.exec(cursor) ?? []
  return row === undefined || digits === undefined ? undefined : { row, number: Number.parseInt(digits, 16) }
}

function lastLine(text: string): string {
  const end = text.endsWith('\n') ? text.length - 1 : text.length
  return text.slice(text.lastIndexOf('\n', end - 1) + 1, end)
}

function placeOf(line: string): JournalPlace | undefined {
  try {
    const record = JSON.parse(Buffer.from(line, 'latin1').toString('utf8')) as Record<string, unknown>
    const { __CURSOR: cursor, __REALTIME_TIMESTAMP: received } = record
    return typeof cursor === 'string' ? { cursor, receivedUs: Number(received) } : undefined
  } catch {
    return undefined
  }
}
