/** One JSON line an event. Recipient addresses and secrets are never handed to it. */
import { closeSync, openSync } from 'node:fs'
import pino, { type Logger } from 'pino'

export type { Logger } from 'pino'

export interface Log {
  readonly logger: Logger
  /** Opens the file anew under the same name, after it was rotated away; goes on with the old one when it can't. */
  reopen: () => void
}

/** What is kept for a reader that is slow, in characters; lines beyond it are lost. */
const backlogBytesMax = 1024 * 1024

/** How soon a reader that was slow is tried again. */
const retryMs = 100

/**
 * @param file appended to; when undefined, standard output or what `otherwise` says
 * @throws Error when the file can't be opened
 */
export function openLog(name: string, level: string, file: string | undefined, otherwise?: 'stderr'): Log {
  const destination = pino.destination({
    dest: file ?? (otherwise === 'stderr' ? 2 : 1),
    append: true,
    // Synchronous, so that the last line before a crash is there to be read …
    sync: true,
    // … but never waiting for a reader that has stopped reading: mail is not to wait for its log.
    retryEAGAIN: () => false,
    maxLength: backlogBytesMax,
  })
  let retry: NodeJS.Timeout | undefined
  // A full disk or pipe must not end a process that moves mail; the lines are lost, the mail is not.
  destination.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EAGAIN' || retry) return
    retry = setTimeout(() => {
      retry = undefined
      destination.flush()
    }, retryMs)
    retry.unref()
  })
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
  const reopen = () => {
    if (file === undefined) return
    try {
      // Tried first: a reopen that fails leaves the destination in pieces.
      closeSync(openSync(file, 'a'))
      destination.reopen()
    } catch (error) {
      logger.error({ reason: (error as Error).message }, 'the log can not be opened anew, going on with the old file')
    }
  }
  return { logger, reopen }
}
