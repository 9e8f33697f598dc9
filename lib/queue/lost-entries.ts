/** Which entries of a stream did not survive a restart of Redis, or the failover to a replica. */
import type { Redis } from 'ioredis'
import { appendedBy } from './append-command.ts'
import { repliesOf } from './grouped-write.ts'
import { answered, isWrongType } from './redis.ts'
import type { Piece } from './slabs.ts'

/** Entries that were appended to one stream at once. */
export interface AppendedGroup {
  readonly stream: string
  /** The command that appended them, or one for the last alone. */
  readonly command: Piece
  /** Redis's id of the last of them. */
  readonly lastId: string
  /** How much the clock of that Redis is ahead of performance.now, in milliseconds, at least. */
  readonly clockAheadMs: number
}

/** Longest wait for an answer, in milliseconds: a Redis that has just loaded its file is slow. */
const answerMs = 2_000

/**
 * Those of the groups that are not in Redis and that nobody has taken out of it either. What is kept of what a run of Redis
 * did is always a beginning of it, so that the last that is there tells of all before. Only where others have appended
 * since, while all of these had been taken out already, is it not to be told, nor where XINFO or XRANGE is forbidden: then
 * they count as lost. A new master whose clock is behind may give ids among those that are lost, so that nothing follows
 * from an id's being below the last: only what is found is there.
 * @param appended to `stream` by this process, all to the same run of Redis, which has ended
 * @param clockAheadMs how much the clock of this run is ahead of performance.now, at most
 * @throws Error when Redis does not answer
 */
export async function lostGroups<Group extends AppendedGroup>(
  redis: Redis,
  stream: string,
  appended: readonly Group[],
  clockAheadMs: number,
): Promise<readonly Group[]> {
  const groups = appended.toSorted((a, b) => compareIds(a.lastId, b.lastId))
  const last = await lastGeneratedId(redis, stream)
  if (last === undefined) return groups
  const isAfter = (group: Group) => compareIds(group.lastId, last) > 0
  const newest = groups.at(-1)
  if (!newest) return []
  if (clockAheadMs >= newest.clockAheadMs) {
    if (isAfter(newest)) return groups.filter(isAfter)
    if (newest.lastId === last) return []
  }
  const pipeline = redis.pipeline()
  for (const { lastId } of groups) pipeline.xrange(stream, lastId, lastId)
  const replies = await answered(pipeline.exec(), answerMs)
  if (replies?.some(([error]) => error && isForbidden(error))) return groups
  const found = repliesOf(replies) as [string, string[]][][]
  // Another Redis may have given the same id to something else.
  const lastFound = groups.findLastIndex(
    (group, index) => found[index]?.[0]?.[1][1] === appendedBy(group.command).at(-1),
  )
  return groups.slice(lastFound + 1)
}

/** Undefined where it is forbidden to ask. */
async function lastGeneratedId(redis: Redis, stream: string): Promise<string | undefined> {
  try {
    const fields = (await answered(redis.xinfo('STREAM', stream), answerMs)) as unknown[]
    return String(fields[fields.indexOf('last-generated-id') + 1])
  } catch (error) {
    if ((error as Error).message.startsWith('ERR no such key') || isWrongType(error)) return '0-0'
    if (isForbidden(error as Error)) return undefined
    throw error
  }
}

function isForbidden({ message }: Error): boolean {
  return /^(?:NOPERM|ERR unknown)/.test(message)
}

/** As Redis compares them: by milliseconds, then by number within the millisecond. */
function compareIds(a: string, b: string): number {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number)
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number)
  return aMs - bMs || aNumber - bNumber
}
