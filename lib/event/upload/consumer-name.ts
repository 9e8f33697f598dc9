/**
 * The name of a feeder in the queue, the same again after it was killed: what it had in hand it has back at its next
 * start, instead of when its lease has passed.
 *
 * Feeders with the same folder for dead letters share it out: each takes the first place in it that no live process has
 * (`consumers/0`, `consumers/1` …). Folder and host name are part of the name, so that others take none of these. Should two
 * that live bear one name all the same, as on two machines that were made from one, some events are sent twice, with the
 * same id, and none is lost.
 */
import { createHash } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { DirectoryInUse, lockDirectory } from '../../durable/directory-lock.ts'
import { StartError } from '../../process/start-error.ts'

export interface ConsumerName {
  readonly name: string
  /** Lets another process have it; idempotent. */
  release: () => Promise<void>
}

/** Feeders of one folder that get a name of which they are sure. */
const placesMax = 64

/**
 * Claims a name for the life of this process.
 * @param dir the folder for dead letters
 * @param asked the name that the user wants
 * @throws {StartError} when a live feeder of this folder has the name that was asked for
 */
export async function claimConsumerName(dir: string, asked?: string): Promise<ConsumerName> {
  const places = join(dir, 'consumers')
  try {
    if (asked !== undefined)
      return { name: asked, ...(await lockDirectory(join(places, `=${encodeURIComponent(asked)}`))) }
    for (let place = 0; place < placesMax; place++) {
      const lock = await lockDirectory(join(places, String(place))).catch(unlessInUse)
      if (lock) return { name: `${hostname()}-${await folderMark(dir)}-${place}`, ...lock }
    }
  } catch (error) {
    if (error instanceof DirectoryInUse)
      throw new StartError(`--consumer ${asked} is the name of another feeder: ${error.message}`)
    // A folder that can't be written: whoever needs it says so.
  }
  return { name: asked ?? `${hostname()}-${process.pid}`, release: () => Promise.resolve() }
}

function unlessInUse(error: unknown): undefined {
  if (!(error instanceof DirectoryInUse)) throw error
}

/** Tells folders of one host name apart, also where each sees its own under the same path. */
async function folderMark(dir: string): Promise<string> {
  const { dev, ino } = await stat(dir)
  return createHash('sha256')
    .update(`${await realpath(dir)} ${dev} ${ino}`)
    .digest('hex')
    .slice(0, 8)
}
