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
  // One sleeper that everything wakes: racing promises that live long would keep every chunk in memory.
  let wake: () => void = () => undefined
  let stopAt = Infinity
  const stop = () => {
    stopAt = performance.now() + stopMsMax
    wake()
  }
  if (stopping.aborted) stop()
  stopping.addEventListener('abort', stop, { once: true })
  try {
    for (;;) {
      let result: IteratorResult<Buffer> | undefined
      let failure: unknown
      void chunks.next().then(
        arrived => {
          result = arrived
          wake()
        },
        (error: unknown) => {
          failure = error ?? new Error('reading failed')
          wake()
        },
      )
      const hasCome = () => result !== undefined || failure !== undefined
      while (!hasCome()) {
        const wasStopping = stopping.aborted
        const isLate = await new Promise<boolean>(resolve => {
          const timer = setTimeout(() => resolve(true), wasStopping ? stopIdleMs : idleMs)
          wake = () => {
            clearTimeout(timer)
            resolve(false)
          }
        })
        if (!isLate) continue
        if (wasStopping) return
        await events.idle()
      }
      if (failure !== undefined) throw failure
      if (result === undefined || result.done === true) return
      await events.chunk(result.value)
      if (performance.now() > stopAt) return
    }
  } finally {
    stopping.removeEventListener('abort', stop)
    input.destroy()
  }
}
