/**
 * What a mail server's log is to the agent: lines in, outcomes out, with a state that can be written down. One
 * implementation for every kind of log; Postfix's is `PostfixLog`.
 */
import type { Outcome } from './outcome.ts'

export interface DeliveryLog {
  /**
   * Reads one line.
   * @param line latin1, one character a byte, without its line end
   * @param whole false when the line's end was not in the file: it may have been cut anywhere
   * @param latestMs the latest instant that it can bear, Unix ms
   * @param source what it was read from: files may have columns of their own
   * @returns what it was good for, the label of the counter of lines
   */
  readonly read: (line: string, whole: boolean, latestMs: number, source: string) => string
  /** Things remembered. */
  readonly size: number
  /** Counters that only grow, by name; for metrics. */
  readonly counts: () => Readonly<Record<string, number>>
  /** Nothing more will come: counts what stays without UUID. */
  readonly end: () => void
  /** Lines of text without line ends that `restore` understands. */
  readonly save: () => Iterable<string>
  /** Takes up what `save` gave. @throws Error when it can't be understood */
  readonly restore: (lines: Iterable<string>) => void
}

export interface DeliveryLogHooks {
  readonly report: (outcome: Outcome) => void
  /** The logger says that it dropped lines. */
  readonly suppressed: (lines: number) => void
}
