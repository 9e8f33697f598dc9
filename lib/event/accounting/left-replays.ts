/**
 * The folders in which replays of files (`--infile`, each has its own) keep events that wait for Redis. One that was killed
 * leaves its folder behind; whoever starts next finishes it.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DirectoryInUse } from '../../durable/directory-lock.ts'
import type { Logger } from '../../process/log.ts'
import type { EventProducer } from '../../queue/event-producer.ts'

const prefix = 'events-replay-'
const lookMs = 100

/** The folder of this process. */
export function replayFolder(spillDir: string): string {
  return join(spillDir, `${prefix}${process.pid}`)
}

/**
 * Brings the events that ended replays left on disk to Redis, and removes their folders; one at a time, as long as Redis
 * takes them. Never rejects: what can't be finished is left to the next start.
 * @param open opens a producer on such a folder
 */
export async function finishReplays(
  spillDir: string,
  open: (dir: string) => Promise<EventProducer>,
  stopping: AbortSignal,
  log: Logger,
): Promise<void> {
  const names = await readdir(spillDir).catch((): string[] => [])
  const own = replayFolder(spillDir)
  for (const name of names) {
    const dir = join(spillDir, name)
    if (!name.startsWith(prefix) || dir === own || stopping.aborted) continue
    try {
      const producer = await open(dir)
      const left = producer.spilledWaiting
      if (left > 0) log.info({ events: left }, 'events of a replay that was ended wait on disk, finishing it')
      while (producer.spilledWaiting > 0 && !stopping.aborted) await sleep(lookMs)
      await producer.close()
      if (producer.spilledWaiting === 0) await rm(dir, { recursive: true, force: true })
    } catch (error) {
      // A replay that is running.
      if (error instanceof DirectoryInUse) continue
      log.warn({ reason: (error as Error).message }, 'events of a replay that was ended can not be finished')
    }
  }
}
