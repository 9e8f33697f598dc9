/** One JSON line an event. Recipient addresses and secrets are never handed to it. */
import pino, { type Logger } from 'pino'

export type { Logger } from 'pino'

export interface Log {
  readonly logger: Logger
  /** Opens the file anew under the same name, after it was rotated away. No-op on standard output. */
  reopen: () => void
}

/**
 * @param file appended to; when undefined, standard output or what `otherwise` says
 * @throws Error when the file can't be opened
 */
export function openLog(name: string, level: string, file: string | undefined, otherwise?: 'stderr'): Log {
  // Synchronous, so that the last line before a crash is there to be read.
  const destination = pino.destination({ dest: file ?? (otherwise === 'stderr' ? 2 : 1), append: true, sync: true })
  // A full disk must not end a process that moves mail; the lines are lost, the mail is not.
  destination.on('error', () => undefined)
  const logger = pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { err: pino.stdSerializers.err },
    },
    destination,
  )
  return { logger, reopen: () => file !== undefined && destination.reopen() }
}
