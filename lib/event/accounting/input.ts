/** The bytes of the accounting, until they end or the process is to stop. */
import type { Readable } from 'node:stream'

/** How long a stop waits for more of what PowerMTA has already written. */
const stopIdleMs = 300
const stopMsMax = 3_000

export interface InputEvents {
  readonly chunk: (bytes: Buffer) => Promise<void>
  /** Nothing came for `idleMs`. */
  readonly idle: () => Promise<void>
}

/**
 * Hands every chunk over, one at a time; reads no further while one is being taken, which holds the writer at the other
 * end of the pipe. Settles at the end of the input. After a stop it goes on for as long as there is something to read at
 * once, at most 3 s.
 * @throws Error when reading fails
 */
export async function readInput(
  input: Readable,
  events: InputEvents,
  stopping: AbortSignal,
  idleMs: number,
): Promise<void> {
  const chunks = input[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  let stopAt = Infinity
  const noteStop = () => {
    stopAt = Date.now() + stopMsMax
  }
  if (stopping.aborted) noteStop()
  stopping.addEventListener('abort', noteStop, { once: true })
  const stopped = new Promise<void>(resolve => {
    if (stopping.aborted) resolve()
    stopping.addEventListener('abort', () => resolve(), { once: true })
  })
  try {
    let next = chunks.next()
    for (;;) {
      const isStopping = stopping.aborted
      const result = await raced(next, isStopping ? stopIdleMs : idleMs, isStopping ? undefined : stopped)
      if (result === 'stopped') continue
      if (result === 'late') {
        if (isStopping) return
        await events.idle()
        continue
      }
      if (result.done === true) return
      await events.chunk(result.value)
      if (Date.now() > stopAt) return
      next = chunks.next()
    }
  } finally {
    stopping.removeEventListener('abort', noteStop)
    input.destroy()
  }
}

async function raced<T>(
  next: Promise<T>,
  waitMs: number,
  stopped: Promise<void> | undefined,
): Promise<T | 'late' | 'stopped'> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>(resolve => {
    timer = setTimeout(() => resolve('late'), waitMs)
  })
  try {
    return await Promise.race([next, late, ...(stopped ? [stopped.then(() => 'stopped' as const)] : [])])
  } finally {
    clearTimeout(timer)
  }
}
