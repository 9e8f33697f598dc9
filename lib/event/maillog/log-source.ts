/** Where log lines come from: files, standard input, the journal. */

/** A place in a source that can be taken up again. */
export interface SourcePosition {
  /** Number of lines read so far: of two positions in the same source, the greater is the later. */
  readonly lines: number
  /** What the source itself needs; plain JSON. */
  readonly place: unknown
}

/** Where to take up a source again. */
export interface Resume {
  /** Where the map of queue ids stands; undefined when it must be made anew. */
  readonly from: SourcePosition | undefined
  /** Up to where events were already taken over. */
  readonly through: SourcePosition | undefined
  /** What was known was lost: without a place, everything that is still there is to be reported. */
  readonly damaged: boolean
}

export interface LogChunk {
  /** Lines, latin1, each ended by `\n`; the last may lack it when nothing can follow any more. */
  readonly text: string
  /** The position behind them. */
  readonly position: SourcePosition
  /** The position behind the `lines` lines that end at `end` in the text; absent where only that behind all is known. */
  readonly positionAt?: (end: number, lines: number) => SourcePosition
  /** Events in it were already taken over: it is read for the sake of the map only. */
  readonly replayed: boolean
  /** The latest instant that a line in it can bear, Unix ms. */
  readonly latestMs: number
}

export interface LogSource {
  /** Tells it from other sources; never changes. */
  readonly id: string
  /** What is there; undefined when there is nothing at the moment. */
  next: () => Promise<LogChunk | undefined>
  /** Bytes that wait to be read, as far as that is known. */
  lagBytes: () => Promise<number>
  /** Of a log that has no name any more: gives the last line although it has no end, once all before it was read. */
  lastLine?: () => Promise<LogChunk | undefined>
  /** The place that a source without anything to resume reports from: to be kept, for only now it is known. */
  readonly start?: SourcePosition
  /** Whether nothing will come any more. */
  readonly ended: boolean
  close: () => Promise<void>
}

/** What a source tells about itself. */
export interface SourceEvents {
  /** The log is not there or can't be read (with the reason), or it is well again. */
  trouble: (id: string, reason: string | undefined) => void
  /** Lines were lost that nobody can bring back: rotated away unread, or dropped by the logger. */
  gap: (id: string, reason: string) => void
  /** Bytes left out: NULs of a hole, the rest of a line that was too long. */
  skippedBytes: (count: number, what: 'nul' | 'overlong') => void
}

/** Longest line, in bytes; what is longer is cut there. */
export const lineBytesMax = 64 * 1024
