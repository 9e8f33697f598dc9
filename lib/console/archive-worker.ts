/**
 * The thread that owns the database. A flush to disk can take a tenth of a second: the web service and the mailbox
 * stay responsive meanwhile.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { archiveOperations } from './archive-operations.ts'
import type { Bounds } from './retention.ts'

/** What is asked of the thread. */
export interface ArchiveCall {
  readonly call: number
  readonly name: string
  readonly args: readonly unknown[]
}

/** What it answers. The first message, with call 0, says whether the database could be opened. */
export interface ArchiveAnswer {
  readonly call: number
  readonly value?: unknown
  readonly error?: { readonly name: string; readonly message: string }
}

const port = parentPort
if (!port) throw new Error('to be run as a worker')

const tell = (answer: ArchiveAnswer) => port.postMessage(answer)
const fail = (call: number, error: unknown) => {
  const { name, message } = error as Error
  tell({ call, error: { name, message } })
}

try {
  const { dir, bounds } = workerData as { dir: string; bounds: Bounds }
  const operations = archiveOperations(dir, bounds) as unknown as Record<string, (...args: unknown[]) => unknown>
  port.on('message', ({ call, name, args }: ArchiveCall) => {
    const perform = async () => {
      try {
        tell({ call, value: await operations[name]?.(...args) })
      } catch (error) {
        fail(call, error)
      }
      if (name === 'close') port.close()
    }
    void perform()
  })
  tell({ call: 0 })
} catch (error) {
  fail(0, error)
}
